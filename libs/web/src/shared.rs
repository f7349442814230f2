//! A service that is cloned by counting, however much there is in it.
//!
//! axum clones the whole service of a route for each request, and each middleware clones again what it stands before. So what a handler
//! holds would be cloned as often as there are layers, and the layers themselves as often as the square of their number.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::Request;
use tower::{Layer, Service, ServiceExt as _, layer::layer_fn, util::Oneshot};

/// A layer: what stands before it clones what stands behind it for nothing.
pub fn shared<S>() -> impl Layer<S, Service = Shared<S>> + Clone {
    layer_fn(|service| Shared(Arc::new(service)))
}

/// A service that is cloned when it is called.
pub struct Shared<S>(Arc<S>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Service<Request> + Clone> Service<Request> for Shared<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Oneshot<S, Request>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The clone that is called is waited for.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        S::clone(&self.0).oneshot(request)
    }
}
