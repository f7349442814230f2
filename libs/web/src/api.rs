//! The table of a service's endpoints. Each entry is routed, documented in OpenAPI 3.1, and protected by one and the
//! same line, so that none of the three can be forgotten.

use axum::{
    Router,
    handler::Handler,
    response::IntoResponse as _,
    routing::{MethodFilter, MethodRouter, on},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, Header, HeaderBuilder, Info, ObjectBuilder, OpenApi, OpenApiBuilder,
        PathItem, Paths, Ref, RefOr, Required, ResponseBuilder, ResponsesBuilder, Type,
        extensions::ExtensionsBuilder,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{Endpoint, Method, Problem, ProblemType, Protection, problem::ProblemBody};

/// The header that carries consistency tokens, as documents spell it.
const CONSISTENCY: &str = "Landbridge-Consistency";
const CONSISTENCY_SENT: &str = "A token of an earlier answer: this one is given on no less than that, in whichever region; 503 if it cannot be yet";
const CONSISTENCY_ANSWERED: &str = "Names all that this answer rests on; send it back on later requests";

/// Puts before a handler what its endpoint demands.
pub type Guard<S> = Box<dyn Fn(&Endpoint, MethodRouter<S>) -> MethodRouter<S>>;

/// The endpoints of one service, with their handlers.
pub struct Api<S> {
    title: &'static str,
    router: Router<S>,
    endpoints: Vec<Endpoint>,
    guard: Guard<S>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// `guard` puts before a handler what its endpoint's protection and place demand.
    pub fn new(
        title: &'static str,
        guard: impl Fn(&Endpoint, MethodRouter<S>) -> MethodRouter<S> + 'static,
    ) -> Self {
        Self { title, router: Router::new(), endpoints: Vec::new(), guard: Box::new(guard) }
    }

    pub fn endpoint<T: 'static>(mut self, endpoint: Endpoint, handler: impl Handler<T, S>) -> Self {
        let route = (self.guard)(&endpoint, on(filter(&endpoint.method), handler));
        self.router = self.router.route(&endpoint.path, route);
        self.endpoints.push(endpoint);
        self
    }

    /// The router, with problems for what it does not have.
    pub fn router(self) -> Router<S> {
        let document = self.openapi();
        self.router
            .route("/openapi.json", axum::routing::get(move || async move { axum::Json(document) }))
            .fallback(|| async { Problem::not_found("endpoint").into_response() })
            .method_not_allowed_fallback(|| async {
                Problem::new(ProblemType::MethodNotAllowed, "this path does not have that method")
                    .into_response()
            })
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
        ProblemBody::schemas(&mut nested);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.security_schemes.insert("token".to_owned(), RefOr::T(SecurityScheme::Http(token)));
        for endpoint in &self.endpoints {
            nested.extend(endpoint.schemas.iter().cloned());
            let item = PathItem::new(endpoint.method.clone(), operation(endpoint));
            match paths.paths.get_mut(&endpoint.path) {
                Some(existing) => existing.merge_operations(item),
                None => drop(paths.paths.insert(endpoint.path.clone(), item)),
            }
        }
        components.schemas.extend(nested);
        OpenApiBuilder::new()
            .info(Info::new(self.title, "1"))
            .paths(paths)
            .components(Some(components))
            .build()
    }
}

fn operation(endpoint: &Endpoint) -> OperationBuilder {
    let problem = ResponseBuilder::new()
        .description("What went wrong, as problem details (RFC 9457)")
        .header("Retry-After", text_header("With 429 and 503: seconds until another try"))
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build(),
        )
        .build();
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
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.summary.clone()))
        .responses(
            ResponsesBuilder::new()
                .response(status.as_str(), success.build())
                .response("default", problem)
                .build(),
        )
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
    if is_protected {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(CONSISTENCY)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(CONSISTENCY_SENT))
                .schema(Some(text()))
                .build(),
        );
        operation = operation.security(SecurityRequirement::new::<_, [&str; 0], &str>("token", []));
    }
    operation
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
