//! The table of a service's endpoints. Each entry is routed, documented in OpenAPI 3.1, and protected by one and the
//! same line, so that none of the three can be forgotten.

use axum::{
    Router,
    handler::Handler,
    http::StatusCode,
    response::IntoResponse as _,
    routing::{MethodFilter, MethodRouter, on},
};
pub use utoipa::openapi::HttpMethod as Method;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, Info, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Required,
        ResponseBuilder, ResponsesBuilder, Schema,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{Problem, ProblemType, problem::ProblemBody};

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
    const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Caller => "caller",
            Self::Decision => "decision",
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
    request: Option<(RefOr<Schema>, &'static str)>,
    answer: (StatusCode, Option<RefOr<Schema>>),
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Endpoint {
    /// An endpoint that needs a decision and answers 204; the other methods say otherwise.
    pub fn new(method: Method, path: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            summary: summary.into(),
            protection: Protection::Decision,
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

/// The endpoints of one service, with their handlers.
pub struct Api<S> {
    title: &'static str,
    router: Router<S>,
    endpoints: Vec<Endpoint>,
    guard: Box<dyn Fn(Protection, MethodRouter<S>) -> MethodRouter<S>>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// `guard` puts before a handler what its protection demands.
    pub fn new(
        title: &'static str,
        guard: impl Fn(Protection, MethodRouter<S>) -> MethodRouter<S> + 'static,
    ) -> Self {
        Self { title, router: Router::new(), endpoints: Vec::new(), guard: Box::new(guard) }
    }

    pub fn endpoint<T: 'static>(mut self, endpoint: Endpoint, handler: impl Handler<T, S>) -> Self {
        let route = (self.guard)(endpoint.protection, on(filter(&endpoint.method), handler));
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

    /// The OpenAPI 3.1 document; `x-protection` tells how each endpoint is protected.
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
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.summary.clone()))
        .responses(
            ResponsesBuilder::new()
                .response(status.as_str(), success.build())
                .response("default", problem)
                .build(),
        )
        .extensions(Some(
            utoipa::openapi::extensions::ExtensionsBuilder::new()
                .add("x-protection", endpoint.protection.as_str())
                .build(),
        ));
    for name in endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(text))
                .build(),
        );
    }
    if let Some((schema, media_type)) = &endpoint.request {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        operation = operation.request_body(Some(
            RequestBodyBuilder::new().content(*media_type, content).required(Some(Required::True)).build(),
        ));
    }
    if endpoint.protection != Protection::Public {
        operation = operation.security(SecurityRequirement::new::<_, [&str; 0], &str>("token", []));
    }
    operation
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
