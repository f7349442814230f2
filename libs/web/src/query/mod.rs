//! Query parameters: each endpoint declares the ones that it takes, and whatever else a request carries is refused.
//!
//! A parameter that is ignored destroys: a misspelt `?dry_run=true` would write, and a misspelt filter would list everything to
//! a script that deletes what it is shown. So the table of endpoints knows the parameters: [`Parameter`] says name, values,
//! meaning, default and example, and the check of a request, its parsing and the OpenAPI document follow from that.

mod filter;
mod given;
mod nearest;
mod parameter;
#[cfg(test)]
mod tests;

use axum::{extract::FromRequestParts, http::request::Parts};

pub(crate) use self::given::{Parameters, checked};
pub use self::{
    filter::{NameFilter, TextFilter},
    given::Given,
    parameter::{Parameter, Values},
};
use crate::Problem;

/// The query parameters of an endpoint, as its handler reads them. `()` takes none.
pub trait QueryParameters: Sized + Send + 'static {
    /// What may be given.
    fn parameters() -> Vec<Parameter>;

    /// Reads what was given. Names and values have been checked against [`QueryParameters::parameters`].
    fn read(given: &Given) -> Result<Self, Problem>;
}

impl QueryParameters for () {
    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }

    fn read(_given: &Given) -> Result<Self, Problem> {
        Ok(())
    }
}

impl<A: QueryParameters, B: QueryParameters> QueryParameters for (A, B) {
    fn parameters() -> Vec<Parameter> {
        [A::parameters(), B::parameters()].concat()
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok((A::read(given)?, B::read(given)?))
    }
}

/// The query of a request, read as a `T`. The endpoint must have declared it with [`Endpoint::query`](crate::Endpoint::query).
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: QueryParameters> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        T::read(&Given::from_request_parts(parts, state).await?).map(Self)
    }
}
