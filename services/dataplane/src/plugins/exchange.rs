//! The request as plugins see and change it, and what they want done with it and with its answer.

use std::{any::Any, borrow::Cow, net::IpAddr, rc::Rc};

use bytes::Bytes;
use clock::Clock;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, uri::Authority};
use random::Random;
use uuid::Uuid;

use super::{ClientCertificate, Identities, Identity};

/// A request that has a route.
#[derive(Debug)]
pub struct Exchange<'a, 'q> {
    /// The method, as the upstream will get it.
    pub method: &'a mut Method,
    /// The version of HTTP that the client speaks.
    pub version: Version,
    /// What the client asks for, as it wrote it.
    pub uri: &'a Uri,
    /// The host, and the port where there is one, as the client wrote them.
    pub authority: &'a HeaderValue,
    /// The headers, as the upstream will get them. What the gateway says itself comes later.
    pub headers: &'a mut HeaderMap,
    /// The path in canonical form, as it was matched.
    pub path: &'a str,
    /// The query without the question mark, as the upstream will get it.
    pub query: &'a mut Option<Cow<'q, str>>,
    /// What of the body has been read.
    pub body: Body,
    /// Who sends it, as far as the connection tells.
    pub client: Client<'a>,
    /// The route and its service.
    pub place: Place<'a>,
    /// What a group of the route's regular expression matches in the path, by its name.
    pub captures: Captures<'a>,
    /// The id that the upstream and the client are told.
    pub request_id: &'a HeaderValue,
    /// Finds consumers by their credentials.
    pub identities: &'a Identities,
    /// Random numbers.
    pub random: &'a Random,
    /// The time of day, for what needs more than [`Exchange::now`].
    pub clock: &'a Clock,
    /// Unix seconds.
    pub now: u64,
    /// Who sends it; set by the plugin that authenticated it.
    pub consumer: Option<Rc<Identity>>,
    /// What plugins want done.
    pub effects: Effects,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address; behind a trusted proxy, the one that the proxy states.
    pub address: IpAddr,
    /// The host that it asks for, in lower case and without port.
    pub host: &'a str,
    /// The port that it asks for.
    pub port: u16,
    /// Whether it speaks TLS to the gateway.
    pub https: bool,
    /// The server name that it asked for in TLS.
    pub sni: Option<&'a str>,
    /// The certificate that it has shown there.
    pub certificate: &'a ClientCertificate,
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Id of the route.
    pub route: Uuid,
    /// Its name, or its id if it has none.
    pub route_name: &'a str,
    /// Id of the service.
    pub service: Option<Uuid>,
    /// Its name, or its id if it has none; empty without a service.
    pub service_name: &'a str,
    /// The service's host and port.
    pub upstream: Option<&'a Authority>,
}

/// Finds what a named group of the route's regular expression matches in the request's path.
#[derive(Clone, Copy)]
pub struct Captures<'a>(pub &'a dyn Fn(&str) -> Option<&'a str>);

impl std::fmt::Debug for Captures<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Captures(…)")
    }
}

/// What plugins can see of a body. It goes upstream whole in any case, unless one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    Empty,
    /// Nothing was read of it yet: ask with [`super::Verdict::NeedsBody`].
    Unread {
        /// Its length in bytes, if the client says it.
        length: Option<u64>,
    },
    /// All of it.
    Read(Bytes),
    /// It is larger than a plugin was ready to read.
    TooLarge {
        /// Its length in bytes, if the client says it.
        length: Option<u64>,
    },
}

/// What plugins want done beside what they changed. Most requests have none, which takes no memory.
#[derive(Debug, Default)]
pub struct Effects(Option<Box<Wanted>>);

/// See [`Effects`].
#[derive(Debug, Default)]
pub struct Wanted {
    /// Headers of the answer, whoever gives it.
    pub answer: Vec<AnswerHeader>,
    /// The request goes elsewhere.
    pub divert: Option<Divert>,
    /// The body that goes upstream in place of the client's.
    pub body: Option<Bytes>,
    /// How long the body may be.
    pub body_max: Option<BodyMax>,
    /// Who gets a copy of the body that goes upstream.
    pub body_copy: Option<BodyCopy>,
    /// The path that the upstream is asked for, in place of the one that follows from route and service.
    pub upstream_path: Option<String>,
    /// The `Host` that the upstream gets, in place of its own or the client's.
    pub host: Option<HeaderValue>,
    /// The plugins that would have refused the request, and only observe.
    pub observed: Vec<&'static str>,
    notes: Vec<Box<dyn Any>>,
}

/// A header that the client gets, whoever answers.
#[derive(Clone, Debug)]
pub struct AnswerHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value; `None`: the client gets none.
    pub value: Option<HeaderValue>,
    /// Whether it replaces those of the same name; else it is one more.
    pub replaces: bool,
}

/// How long a request's body may be that is not read before it goes upstream.
#[derive(Clone, Copy, Debug)]
pub struct BodyMax {
    /// In bytes.
    pub bytes: u64,
    /// Who says so.
    pub plugin: &'static str,
    /// Whether a longer one passes, and is only counted.
    pub observe: bool,
}

/// Takes a copy of the body as it goes upstream.
pub struct BodyCopy {
    /// In bytes. There is no copy of a longer one.
    pub max: usize,
    /// Called with the whole body when it has gone; not at all if it breaks off or is too long.
    pub give: Box<dyn FnOnce(Bytes)>,
}

impl std::fmt::Debug for BodyCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyCopy").field("max", &self.max).finish_non_exhaustive()
    }
}

/// Another destination than the service's. What is absent stays as the service says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divert {
    /// Another service.
    pub service: Option<Uuid>,
    /// Another host; if an upstream has this name, its targets.
    pub host: Option<Box<str>>,
    /// Another port.
    pub port: Option<u16>,
    /// Another path of the service.
    pub path: Option<Box<str>>,
}

impl Effects {
    /// Nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is wanted, if anything is.
    pub fn wanted(&self) -> Option<&Wanted> {
        self.0.as_deref()
    }

    /// To want something.
    pub fn want(&mut self) -> &mut Wanted {
        self.0.get_or_insert_default()
    }

    /// What is wanted, to be changed; `None` if nothing is.
    pub fn wanted_mut(&mut self) -> Option<&mut Wanted> {
        self.0.as_deref_mut()
    }

    /// Keeps `note` until the request is over, in place of an earlier one of its type. A plugin that has something to remember from one phase
    /// to the next makes a type of its own for it.
    pub fn put<T: Any>(&mut self, note: T) {
        let notes = &mut self.want().notes;
        match notes.iter_mut().find_map(|held| held.downcast_mut::<T>()) {
            Some(held) => *held = note,
            None => notes.push(Box::new(note)),
        }
    }

    /// The note of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.wanted()?.notes.iter().find_map(|held| held.downcast_ref())
    }

    /// The note of this type, to be changed.
    pub fn get_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.wanted_mut()?.notes.iter_mut().find_map(|held| held.downcast_mut())
    }
}

impl Exchange<'_, '_> {
    /// The client gets the header, whoever answers, in place of others of this name.
    pub fn answer_with(&mut self, name: HeaderName, value: HeaderValue) {
        self.effects.want().answer.push(AnswerHeader { name, value: Some(value), replaces: true });
    }

    /// The client gets the header beside others of this name.
    pub fn answer_also(&mut self, name: HeaderName, value: HeaderValue) {
        self.effects.want().answer.push(AnswerHeader { name, value: Some(value), replaces: false });
    }

    /// The client gets no header of this name, whoever answers.
    pub fn answer_without(&mut self, name: HeaderName) {
        self.effects.want().answer.push(AnswerHeader { name, value: None, replaces: true });
    }
}
