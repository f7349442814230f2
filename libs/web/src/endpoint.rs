//! What is said of one endpoint in one line: method, path, who may call it, where it is served, what goes in and out, and how it
//! refuses.

use axum::http::StatusCode;
use ids::OrganizationId;
pub use utoipa::openapi::HttpMethod as Method;
use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, Schema},
};

use crate::{Parameter, ProblemType, QueryParameters, problem::ORGANIZATION_INACTIVE, query::Parameters};

/// What stands between a caller and an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: the endpoint proves its caller in its own way, or has nothing to hide.
    Public,
    /// A valid token; the endpoint shows only the caller's own things.
    Caller,
    /// A valid token, and a decision by authz before anything is answered.
    Decision,
    /// A token of the platform operator, who belongs to no organization and can call nothing else.
    Operator,
}

impl Protection {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Caller => "caller",
            Self::Decision => "decision",
            Self::Operator => "operator",
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
    /// In the home region of the organization that the path names as `organization_id`. Where the path names none, in the region that
    /// the body names as `home_region`. For the platform operator, who has no home.
    Named,
}

impl Served {
    /// Whether a request of `organization` to `path` is served in its home region.
    pub fn at_home(&self, organization: OrganizationId, path: &str) -> bool {
        match self {
            Self::Here => false,
            Self::Home => true,
            Self::HomeWhen(is_home) => is_home(organization, path),
            // Not the caller's home.
            Self::Named => false,
        }
    }

    /// As OpenAPI's `x-served-in` says it.
    pub(crate) const fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::Here => None,
            Self::Home => Some("home"),
            Self::HomeWhen(_) => Some("home-or-here"),
            Self::Named => Some("named-organization-home"),
        }
    }
}

/// One endpoint of an API.
pub struct Endpoint {
    /// HTTP method.
    pub method: Method,
    /// Path as axum takes it and OpenAPI shows it, with parameters in braces.
    pub path: String,
    /// One line for the OpenAPI document.
    pub summary: String,
    /// Who may call it. The guard enforces it.
    pub protection: Protection,
    /// In which region a request is answered.
    pub served: Served,
    pub(crate) request: Option<(RefOr<Schema>, &'static str)>,
    pub(crate) answer: (StatusCode, Option<RefOr<Schema>>),
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) takes_if_match: bool,
    /// Whether the request carries a credential that the handler checks itself. The guard bounds how many an address may try.
    pub takes_credential: bool,
    parameters: Parameters,
    pub(crate) ignores_others: bool,
    refusals: Vec<Refusal>,
}

/// A problem that an endpoint answers, as its document shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The problem's type. It implies the status.
    pub problem: ProblemType,
    /// The `detail` of an example.
    pub example: &'static str,
}

impl Refusal {
    const fn new(problem: ProblemType, example: &'static str) -> Self {
        Self { problem, example }
    }
}

/// Of every endpoint.
const ALWAYS: [Refusal; 3] = [
    Refusal::new(
        ProblemType::InvalidParameter,
        "pagesize: no such query parameter; did you mean page[size]? this endpoint takes page[size], page[after]",
    ),
    Refusal::new(ProblemType::Unavailable, "the database cannot be asked now; try again"),
    Refusal::new(ProblemType::Internal, "internal error; the request id names it in the logs"),
];
/// Of an endpoint that needs a token, or a credential of another kind.
const WITH_CREDENTIAL: Refusal = Refusal::new(
    ProblemType::TooManyRequests,
    "too many tokens from this address open nothing; tokens that are known here still do",
);
/// Of an endpoint that needs a token.
const WITH_TOKEN: [Refusal; 2] = [
    Refusal::new(ProblemType::Unauthenticated, "send an access token: `Authorization: Bearer …`"),
    Refusal::new(
        ProblemType::NotYetReplicated,
        "this region has not applied yet what the answer depends on (logs: authz.us); try again",
    ),
];
/// Of an endpoint of organizations.
const OF_ORGANIZATION: Refusal = Refusal::new(ProblemType::OrganizationInactive, ORGANIZATION_INACTIVE);
/// Of an endpoint that needs a token: the platform operator can call none of an organization's, and nobody else one of the operator's.
const WITH_KIND: Refusal =
    Refusal::new(ProblemType::Forbidden, "the platform operator can call nothing of an organization");
/// Of an endpoint that needs a decision.
const WITH_DECISION: Refusal = Refusal::new(ProblemType::Forbidden, "you may not do team:Write here");
/// Of an endpoint of the platform operator, for whoever is of an organization.
const OF_SUSPENDED: Refusal = Refusal::new(
    ProblemType::OrganizationInactive,
    "your organization is suspended; and only the platform operator can do this",
);
/// Of an endpoint of the platform operator.
const OF_OPERATOR: Refusal = Refusal::new(ProblemType::Forbidden, "only the platform operator can do this");
/// Of an endpoint whose path names a thing.
const WITH_PATH: Refusal = Refusal::new(ProblemType::NotFound, "no such team");
/// Of an endpoint that reads a body.
const WITH_BODY: [Refusal; 4] = [
    Refusal::new(ProblemType::MalformedBody, "the body is not JSON: expected value at line 1 column 1"),
    Refusal::new(ProblemType::InvalidBody, "name: must not be empty"),
    Refusal::new(ProblemType::UnsupportedMediaType, "send Content-Type: application/json"),
    Refusal::new(ProblemType::BodyTooLarge, "the body may be at most 1048576 bytes"),
];
/// Of an endpoint that takes `If-Match`.
const WITH_IF_MATCH: Refusal =
    Refusal::new(ProblemType::PreconditionFailed, "If-Match: the entity has another version; read it again");
/// Of a POST, which can be repeated under an idempotency key.
const WITH_KEY: [Refusal; 3] = [
    Refusal::new(
        ProblemType::IdempotencyKeyReused,
        "this Idempotency-Key came with another body before; use a new key for a new request",
    ),
    Refusal::new(
        ProblemType::IdempotencyKeyInUse,
        "a request with this Idempotency-Key is still running; try again",
    ),
    Refusal::new(ProblemType::BodyTooLarge, "a body with Idempotency-Key may be at most 1048576 bytes"),
];

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
            takes_if_match: false,
            takes_credential: false,
            parameters: Parameters::from([]),
            ignores_others: false,
            refusals: Vec::new(),
        }
    }

    /// A `GET` that needs a decision, answers 204 and is served in every region. The other methods change that.
    pub fn get(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Get, path, summary)
    }

    /// A `POST` with the same defaults as [`Endpoint::get`].
    pub fn post(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Post, path, summary)
    }

    /// A `PUT` with the same defaults as [`Endpoint::get`].
    pub fn put(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Put, path, summary)
    }

    /// A `PATCH` with the same defaults as [`Endpoint::get`].
    pub fn patch(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Patch, path, summary)
    }

    /// A `DELETE` with the same defaults as [`Endpoint::get`].
    pub fn delete(path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(Method::Delete, path, summary)
    }

    /// Sets who may call it.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Anybody may call it, with a credential in the request that the handler checks: it answers 401 if that opens nothing.
    pub fn with_credential(self, example: &'static str) -> Self {
        self.bounded().refuses(ProblemType::Unauthenticated, example)
    }

    /// Anybody may call it. The guard bounds how many such requests are served at once.
    pub fn bounded(mut self) -> Self {
        self.takes_credential = true;
        self.protection(Protection::Public)
    }

    /// Only the platform operator may call it.
    pub fn operator(self) -> Self {
        self.protection(Protection::Operator)
    }

    /// Served in the home region of the organization that the path names, or in the region that the body names.
    pub fn at_named_home(mut self) -> Self {
        self.served = Served::Named;
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

    /// It takes these query parameters. Without this line it takes none.
    pub fn query<T: QueryParameters>(self) -> Self {
        self.query_parameters(T::parameters())
    }

    /// It takes query parameters that follow from something else than a type, such as a table of kinds.
    pub fn query_parameters(mut self, parameters: Vec<Parameter>) -> Self {
        self.parameters = parameters.into();
        self
    }

    /// Query parameters that it does not take are ignored. For one that others send people to, by a protocol that lets them add some (RFC 6749,
    /// section 4.1.2).
    pub fn ignores_other_parameters(mut self) -> Self {
        self.ignores_others = true;
        self
    }

    /// The answer to success sends a browser to another page.
    pub fn redirects(mut self) -> Self {
        self.answer = (StatusCode::SEE_OTHER, None);
        self
    }

    /// The query parameters that it takes.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(crate) fn shared_parameters(&self) -> Parameters {
        self.parameters.clone()
    }

    /// It takes the header `If-Match`, and answers 412 where that does not hold.
    pub fn if_match(mut self) -> Self {
        self.takes_if_match = true;
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

    /// The document has this schema under `name`, to which bodies and answers refer.
    pub fn names(mut self, name: impl Into<String>, schema: RefOr<Schema>) -> Self {
        self.schemas.push((name.into(), schema));
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

    /// It answers `problem` in a case of its own; `example` is the detail of one. What follows from the rest of the endpoint's
    /// line (its token, its path, its body) need not be said.
    pub fn refuses(mut self, problem: ProblemType, example: &'static str) -> Self {
        self.refusals.push(Refusal::new(problem, example));
        self
    }

    /// Every problem that it may answer: its own, and those that follow from its line. One of each type; its own example wins.
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut all = self.refusals.clone();
        let is_post = self.method == Method::Post;
        let has_path = self.path.contains('{');
        let with_token = self.protection != Protection::Public;
        let implied = ALWAYS
            .into_iter()
            .chain(WITH_TOKEN.into_iter().filter(|_| with_token))
            .chain((with_token || self.takes_credential).then_some(WITH_CREDENTIAL))
            .chain((self.protection == Protection::Decision).then_some(WITH_DECISION))
            .chain((self.protection == Protection::Operator).then_some(OF_OPERATOR))
            .chain((self.protection == Protection::Operator).then_some(OF_SUSPENDED))
            .chain((self.protection == Protection::Caller).then_some(WITH_KIND))
            .chain(
                (self.protection != Protection::Operator && (with_token || self.takes_credential))
                    .then_some(OF_ORGANIZATION),
            )
            .chain(has_path.then_some(WITH_PATH))
            .chain(WITH_BODY.into_iter().filter(|_| self.request.is_some()))
            .chain(self.takes_if_match.then_some(WITH_IF_MATCH))
            .chain(WITH_KEY.into_iter().filter(|_| is_post));
        for refusal in implied {
            if !all.iter().any(|known| known.problem == refusal.problem) {
                all.push(refusal);
            }
        }
        all
    }

    /// Whether its document names `problem`.
    pub fn documents(&self, problem: ProblemType) -> bool {
        self.refusals().iter().any(|refusal| refusal.problem == problem)
    }

    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name()).into()
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, StatusCode},
        response::IntoResponse as _,
    };
    use tower::ServiceExt as _;

    use super::{Endpoint, Served};
    use crate::{Api, Problem, ProblemType};

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
    fn an_endpoint_of_the_operator_says_how_it_refuses_everybody_else() {
        let endpoint = Endpoint::get("/v1/operator/things", "things").operator();
        for problem in
            [ProblemType::Forbidden, ProblemType::OrganizationInactive, ProblemType::Unauthenticated]
        {
            assert!(endpoint.documents(problem), "{problem:?}");
        }
        assert!(!endpoint.documents(ProblemType::NotFound));
    }

    #[test]
    fn openapi_shows_every_problem_of_an_endpoint_with_an_example() {
        let handler = async || StatusCode::NO_CONTENT;
        let endpoint = Endpoint::delete("/things/{id}", "a thing goes")
            .refuses(ProblemType::Conflict, "the last thing cannot go")
            .refuses(ProblemType::NotFound, "no such thing");
        let problems = [
            (401, vec!["unauthenticated"]),
            (403, vec!["forbidden", "organization-inactive"]),
            (404, vec!["not-found"]),
            (409, vec!["conflict"]),
            (503, vec!["not-yet-replicated", "unavailable"]),
        ];
        let api = Api::<()>::new("test", |_endpoint, route| route).endpoint(endpoint, handler);
        let document = serde_json::to_value(api.openapi()).expect("JSON");
        let responses = &document["paths"]["/things/{id}"]["delete"]["responses"];
        // What endpoints refuse in the same way is described once.
        let refused = |status: u16| {
            let name = responses[status.to_string()]["$ref"].as_str().expect("a reference");
            let name = name.strip_prefix("#/components/responses/").expect("a response");
            &document["components"]["responses"][name]
        };
        for (status, names) in problems {
            let examples = &refused(status)["content"]["application/problem+json"]["examples"];
            let examples = examples.as_object().expect("examples");
            assert_eq!(examples.keys().collect::<Vec<_>>(), names, "{status}");
            for example in examples.values() {
                assert_eq!(example["value"]["status"], status);
            }
        }
        let own = &refused(404)["content"]["application/problem+json"]["examples"]["not-found"]["value"];
        assert_eq!((&own["detail"], &own["message"]), (&"no such thing".into(), &"no such thing".into()));
        assert!(responses["default"].is_null());
    }

    #[tokio::test]
    #[should_panic(expected = "does not document Conflict")]
    async fn an_endpoint_that_answers_an_undocumented_problem_fails_its_test() {
        let handler = async || Problem::conflict("a surprise").into_response();
        let api = Api::<()>::new("test", |_endpoint, route| route)
            .endpoint(Endpoint::get("/things", "the things"), handler);
        let request = Request::get("/things").body(Body::empty()).expect("a request");
        let _ = api.router().oneshot(request).await;
    }

    #[test]
    fn a_path_can_decide() {
        let organization = ids::OrganizationId::generate();
        let some = Served::HomeWhen(|_, path| path == "/x");
        assert!(some.at_home(organization, "/x") && !some.at_home(organization, "/y"));
        assert!(Served::Home.at_home(organization, "/y") && !Served::Here.at_home(organization, "/x"));
        assert!(!Served::Named.at_home(organization, "/x"), "the caller's home has nothing to do with it");
    }
}
