//! Batches as the bodies of HTTP requests.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use reqwest::Url;

use super::{Destination, Failed};
use crate::calls::{Caller, CallerSettings, Calls};

/// Where and how.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where requests go. User name and password in it are sent as basic authentication.
    pub url: Url,
    /// Their method.
    pub method: Method,
    /// Their content type.
    pub content_type: HeaderValue,
    /// Their other headers.
    pub headers: HeaderMap,
    /// What they may take.
    pub limits: CallerSettings,
    /// How the body is made of the entries.
    pub encoding: Encoding,
}

/// Makes a body of entries.
pub type Encoding = Arc<dyn Fn(&[Bytes]) -> Bytes + Send + Sync>;

/// See the module.
pub struct Http {
    settings: HttpSettings,
    caller: Caller,
}

impl Http {
    /// Nothing is open yet.
    pub fn new(settings: HttpSettings, calls: Calls) -> Self {
        let caller = Caller::new(settings.limits, calls);
        Self { settings, caller }
    }

    async fn send(&self, batch: &[Bytes]) -> Result<(), String> {
        let HttpSettings { url, method, content_type, headers, encoding, .. } = &self.settings;
        let mut headers = headers.clone();
        headers.insert(CONTENT_TYPE, content_type.clone());
        let answer = self.caller.call((method.clone(), url.clone()), headers, encoding(batch)).await?;
        let status = answer.status;
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
    }
}

impl Destination for Http {
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move { self.send(batch).await.map_err(|cause| Failed::whole(batch, cause)) })
    }
}

impl fmt::Debug for Http {
    /// Without the URL and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("host", &self.settings.url.host_str()).finish_non_exhaustive()
    }
}
