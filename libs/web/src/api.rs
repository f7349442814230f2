//! The table of a service's endpoints. Each entry is routed, documented in OpenAPI 3.1, and protected by one and the
//! same line, so that none of the three can be forgotten.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    handler::Handler,
    http::{StatusCode, header},
    middleware::{Next, from_fn, map_response},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, get, on},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, Header, HeaderBuilder, Info, ObjectBuilder, OpenApi, OpenApiBuilder,
        PathItem, Paths, Ref, RefOr, Required, ResponseBuilder, ResponsesBuilder, Type,
        example::ExampleBuilder,
        extensions::ExtensionsBuilder,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{
    Endpoint, Method, Problem, ProblemType, Protection, Refusal, problem::ProblemBody, query, shared::shared,
};

/// The header that carries consistency tokens, as documents spell it.
const CONSISTENCY: &str = "Landbridge-Consistency";
const CONSISTENCY_SENT: &str = "A token of an earlier answer: this one is given on no less than that, in whichever region; 503 if it cannot be yet";
const CONSISTENCY_ANSWERED: &str = "Names all that this answer rests on; send it back on later requests";

const IF_MATCH: &str = "The `ETag` of an earlier answer, quotes included: the write is done only if the entity still has that version";
const IDEMPOTENCY_KEY: &str = "Chosen by the client, new for each request: a repetition under the same key has no second effect, and \
     gets the first answer";

/// Puts before a handler what its endpoint demands.
pub type Guard<S> = Box<dyn Fn(&Endpoint, MethodRouter<S>) -> MethodRouter<S>>;

/// The endpoints of one service, with their handlers.
pub struct Api<S> {
    title: &'static str,
    router: Router<S>,
    endpoints: Vec<Arc<Endpoint>>,
    guard: Guard<S>,
}

/// A file that is served as it is.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub media_type: &'static str,
    /// What it holds.
    pub body: Bytes,
}

/// What a page of ours may load: scripts, styles and data from where it comes from, and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// `guard` puts before a handler what its endpoint's protection and place demand.
    pub fn new(
        title: &'static str,
        guard: impl Fn(&Endpoint, MethodRouter<S>) -> MethodRouter<S> + 'static,
    ) -> Self {
        Self { title, router: Router::new(), endpoints: Vec::new(), guard: Box::new(guard) }
    }

    /// Adds one endpoint: its route behind the guard, and its place in the OpenAPI document. An answer with a problem
    /// that `endpoint` does not document is logged as an error, and panics in a debug build.
    pub fn endpoint<T: 'static>(mut self, endpoint: Endpoint, handler: impl Handler<T, S>) -> Self {
        // Shared: every connection has a copy of the handlers, and with them of whatever they own.
        let endpoint = Arc::new(endpoint);
        let checked = endpoint.clone();
        let check = move |response| std::future::ready(check_documented(&checked, response));
        let route = (self.guard)(&endpoint, on(filter(&endpoint.method), handler).layer(shared()));
        // Outside the guard: a query that the endpoint does not take is refused before anything is done for it.
        let parameters = endpoint.shared_parameters();
        let ignores_others = endpoint.ignores_others;
        let query =
            from_fn(move |request, next| query::checked(parameters.clone(), ignores_others, request, next));
        let route = route.layer((shared(), map_response(check), query, shared()));
        self.router = self.router.route(&endpoint.path, route);
        self.endpoints.push(endpoint);
        self
    }

    /// Serves a file to anybody who asks. It is no endpoint: it knows nothing of anybody, and no document names it.
    pub fn file(mut self, file: File) -> Self {
        let path = file.path;
        let show = move || {
            let File { media_type, body, .. } = file.clone();
            let headers = [
                (header::CONTENT_TYPE, media_type),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            async move { (headers, body) }
        };
        let query = from_fn(|request, next| query::checked([].into(), false, request, next));
        self.router = self.router.route(path, get(show).layer(query));
        self
    }

    /// The endpoints, in the order in which they were added.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().map(AsRef::as_ref)
    }

    /// The router, with problems for what it does not have.
    pub fn router(self) -> Router<S> {
        let document = Arc::new(self.openapi());
        let show = move || {
            let document = document.clone();
            async move { axum::Json(&*document).into_response() }
        };
        self.router
            .route(
                "/openapi.json",
                get(show).layer(from_fn(|request, next| query::checked([].into(), false, request, next))),
            )
            .fallback(|| async { Problem::not_found("endpoint").into_response() })
            .method_not_allowed_fallback(|| async {
                Problem::new(ProblemType::MethodNotAllowed, "this path does not have that method")
                    .into_response()
            })
            .layer(from_fn(refuse_dot_segments))
    }

    /// The OpenAPI document as text: always the same for the same endpoints.
    pub fn document(&self) -> Result<String, serde_json::Error> {
        let mut document = serde_json::to_value(self.openapi())?;
        // Extensions come out of a hash map.
        document.sort_all_objects();
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// The OpenAPI 3.1 document; `x-protection` tells how each endpoint is protected, `x-served-in` which are not served
    /// in every region alike.
    pub fn openapi(&self) -> OpenApi {
        let mut paths = Paths::new();
        let mut components = Components::new();
        components.schemas.insert("Problem".to_owned(), ProblemBody::schema());
        let mut nested = Vec::new();
        let mut refused = Refused::default();
        ProblemBody::schemas(&mut nested);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.security_schemes.insert("token".to_owned(), RefOr::T(SecurityScheme::Http(token)));
        for endpoint in &self.endpoints {
            nested.extend(endpoint.schemas.iter().cloned());
            let item = PathItem::new(endpoint.method.clone(), operation(endpoint, &mut refused));
            match paths.paths.get_mut(&endpoint.path) {
                Some(existing) => existing.merge_operations(item),
                None => drop(paths.paths.insert(endpoint.path.clone(), item)),
            }
        }
        components.schemas.extend(nested);
        components.responses.extend(refused.0.into_iter().map(|(name, response)| (name, RefOr::T(response))));
        OpenApiBuilder::new()
            .info(Info::new(self.title, "1"))
            .paths(paths)
            .components(Some(components))
            .build()
    }
}

/// Refuses a path with a dot segment, encoded or not. Whoever sends one means another path, or wants a proxy and this service to
/// disagree about which one it is.
async fn refuse_dot_segments(request: Request, next: Next) -> Response {
    if ids::name::has_dot_segment(request.uri().path()) {
        let reason =
            "must not have `.` or `..` segments, encoded or not; name a thing with such a name by its id";
        return Problem::invalid_parameter("path", reason).into_response();
    }
    next.run(request).await
}

/// An endpoint answers only problems that its document names, and success with the documented status: a test that meets
/// another answer fails.
fn check_documented(endpoint: &Endpoint, response: Response) -> Response {
    let (status, documented) = (response.status(), endpoint.answer.0);
    debug_assert!(
        !status.is_success() || status == documented,
        "{} ({}) documents {documented} and answers {status}",
        endpoint.path,
        endpoint.summary
    );
    if let Some(problem) = response.extensions().get::<ProblemType>() {
        let Endpoint { path, summary, .. } = endpoint;
        let is_documented = endpoint.documents(*problem);
        debug_assert!(is_documented, "{path} ({summary}) does not document {problem:?}");
        if !is_documented {
            tracing::error!(
                path,
                summary,
                ?problem,
                "an endpoint answered a problem that it does not document"
            );
        }
    }
    response
}

/// The problems of an endpoint by their status, each with an example.
fn refusals(endpoint: &Endpoint) -> BTreeMap<StatusCode, Vec<Refusal>> {
    let mut by_status = BTreeMap::<_, Vec<_>>::new();
    for refusal in endpoint.refusals() {
        by_status.entry(refusal.problem.status()).or_default().push(refusal);
    }
    by_status
}

/// The refusals of all endpoints, by name: each is described once.
#[derive(Default)]
struct Refused(BTreeMap<String, utoipa::openapi::Response>);

impl Refused {
    /// A reference to the description of an answer with `status`.
    fn refer(&mut self, status: StatusCode, refusals: &[Refusal]) -> Ref {
        let response = refused(status, refusals).build();
        let words = status.canonical_reason().unwrap_or("Refusal").replace(' ', "");
        let mut name = words.clone();
        for number in 2.. {
            match self.0.get(&name) {
                Some(same) if *same == response => break,
                Some(_) => name = format!("{words}{number}"),
                None => {
                    self.0.insert(name.clone(), response);
                    break;
                }
            }
        }
        Ref::from_response_name(name)
    }
}

fn refused(status: StatusCode, refusals: &[Refusal]) -> ResponseBuilder {
    let example = |refusal: &Refusal| {
        let body = Problem::new(refusal.problem, refusal.example).body();
        (refusal.problem.name(), ExampleBuilder::new().value(serde_json::to_value(body).ok()).build())
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(refusals.iter().map(example));
    let titles: Vec<&str> = refusals.iter().map(|refusal| refusal.problem.title()).collect();
    let response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content("application/problem+json", content.build());
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        response.header("Retry-After", text_header("Seconds until another try"))
    } else {
        response
    }
}

fn operation(endpoint: &Endpoint, refused: &mut Refused) -> OperationBuilder {
    let (status, schema) = &endpoint.answer;
    let mut success = ResponseBuilder::new().description(status.canonical_reason().unwrap_or("Success"));
    if let Some(schema) = schema {
        success =
            success.content("application/json", ContentBuilder::new().schema(Some(schema.clone())).build());
    }
    let is_protected = endpoint.protection != Protection::Public;
    if is_protected && endpoint.method != Method::Get {
        success = success.header(CONSISTENCY, text_header(CONSISTENCY_ANSWERED));
    }
    let mut extensions = ExtensionsBuilder::new().add("x-protection", endpoint.protection.as_str());
    if let Some(place) = endpoint.served.as_str() {
        extensions = extensions.add("x-served-in", place);
    }
    let mut responses = ResponsesBuilder::new().response(status.as_str(), success.build());
    for (status, refusals) in refusals(endpoint) {
        responses = responses.response(status.as_str(), refused.refer(status, &refusals));
    }
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.summary.clone()))
        .responses(responses.build())
        .extensions(Some(extensions.build()));
    for name in endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(text()))
                .build(),
        );
    }
    if let Some((schema, media_type)) = &endpoint.request {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        operation = operation.request_body(Some(
            RequestBodyBuilder::new().content(*media_type, content).required(Some(Required::True)).build(),
        ));
    }
    for parameter in endpoint.parameters() {
        operation = operation.parameter(parameter.documented());
    }
    if endpoint.takes_if_match {
        operation = operation.parameter(header_parameter("If-Match", IF_MATCH));
    }
    if is_protected {
        if endpoint.method == Method::Post {
            operation = operation.parameter(header_parameter("Idempotency-Key", IDEMPOTENCY_KEY));
        }
        operation = operation.parameter(header_parameter(CONSISTENCY, CONSISTENCY_SENT));
        operation = operation.security(SecurityRequirement::new::<_, [&str; 0], &str>("token", []));
    }
    operation
}

fn header_parameter(name: &str, description: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(text()))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn text_header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(text())).description(Some(description)).build()
}

fn filter(method: &Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
        Method::Options => MethodFilter::OPTIONS,
        Method::Head => MethodFilter::HEAD,
        Method::Trace => MethodFilter::TRACE,
    }
}
