//! What is said of one endpoint in one line: method, path, who may call it, where it is served, what goes in and out.

use axum::http::StatusCode;
use ids::OrganizationId;
pub use utoipa::openapi::HttpMethod as Method;
use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, Schema},
};

/// What stands between a caller and an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: the endpoint proves its caller in its own way, or has nothing to hide.
    Public,
    /// A valid token; the endpoint shows only the caller's own things.
    Caller,
    /// A valid token, and a decision by authz before anything is answered.
    Decision,
}

impl Protection {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Caller => "caller",
            Self::Decision => "decision",
        }
    }
}

/// In which region an endpoint is served.
#[derive(Clone, Copy, Debug)]
pub enum Served {
    /// In each of them.
    Here,
    /// In the organization's home region; others forward the request there.
    Home,
    /// At home for some paths of some organizations, and in each region for the others.
    HomeWhen(fn(OrganizationId, &str) -> bool),
}

impl Served {
    /// Whether a request of `organization` to `path` is served in its home region.
    pub fn at_home(&self, organization: OrganizationId, path: &str) -> bool {
        match self {
            Self::Here => false,
            Self::Home => true,
            Self::HomeWhen(is_home) => is_home(organization, path),
        }
    }

    /// As OpenAPI's `x-served-in` says it.
    pub(crate) const fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::Here => None,
            Self::Home => Some("home"),
            Self::HomeWhen(_) => Some("home-or-here"),
        }
    }
}

/// One endpoint of an API.
#[derive(Clone)]
pub struct Endpoint {
    pub method: Method,
    pub path: String,
    pub summary: String,
    pub protection: Protection,
    pub served: Served,
    pub(crate) request: Option<(RefOr<Schema>, &'static str)>,
    pub(crate) answer: (StatusCode, Option<RefOr<Schema>>),
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Endpoint {
    /// An endpoint that needs a decision and answers 204; the other methods say otherwise.
    pub fn new(method: Method, path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            summary: summary.into(),
            protection: Protection::Decision,
            served: Served::Here,
            request: None,
            answer: (StatusCode::NO_CONTENT, None),
            schemas: Vec::new(),
        }
    }

    pub fn get(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Get, path, summary)
    }

    pub fn post(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Post, path, summary)
    }

    pub fn put(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Put, path, summary)
    }

    pub fn patch(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Patch, path, summary)
    }

    pub fn delete(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Delete, path, summary)
    }

    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Served in the organization's home region.
    pub fn home(mut self) -> Self {
        self.served = Served::Home;
        self
    }

    /// Served in the organization's home region where `is_home` says so of the organization and the request's path.
    pub fn home_when(mut self, is_home: fn(OrganizationId, &str) -> bool) -> Self {
        self.served = Served::HomeWhen(is_home);
        self
    }

    /// The body is JSON of type `T`.
    pub fn body<T: ToSchema>(mut self) -> Self {
        self.request = Some((self.reference::<T>(), "application/json"));
        self
    }

    /// The body is described by a schema made elsewhere, and has the given media type.
    pub fn body_schema(mut self, schema: RefOr<Schema>, media_type: &'static str) -> Self {
        self.request = Some((schema, media_type));
        self
    }

    /// The answer to success is JSON of type `T`.
    pub fn answers<T: ToSchema>(mut self, status: StatusCode) -> Self {
        self.answer = (status, Some(self.reference::<T>()));
        self
    }

    /// The answer to success is described by a schema made elsewhere.
    pub fn answers_schema(mut self, status: StatusCode, schema: RefOr<Schema>) -> Self {
        self.answer = (status, Some(schema));
        self
    }

    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name()).into()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::{Endpoint, Served};
    use crate::Api;

    #[test]
    fn openapi_says_what_is_served_at_home() {
        let handler = async || StatusCode::NO_CONTENT;
        let api = Api::<()>::new("test", |_endpoint, route| route)
            .endpoint(Endpoint::post("/home", "at home").home(), handler)
            .endpoint(Endpoint::put("/some", "at home for some").home_when(|_, path| path == "/x"), handler)
            .endpoint(Endpoint::get("/here", "here"), handler);
        let document = serde_json::to_value(api.openapi()).expect("JSON");
        let place = |path: &str, method: &str| document["paths"][path][method]["x-served-in"].clone();
        assert_eq!(place("/home", "post"), "home");
        assert_eq!(place("/some", "put"), "home-or-here");
        assert_eq!(place("/here", "get"), serde_json::Value::Null);
    }

    #[test]
    fn a_path_can_decide() {
        let organization = ids::OrganizationId::generate();
        let some = Served::HomeWhen(|_, path| path == "/x");
        assert!(some.at_home(organization, "/x") && !some.at_home(organization, "/y"));
        assert!(Served::Home.at_home(organization, "/y") && !Served::Here.at_home(organization, "/x"));
    }
}
