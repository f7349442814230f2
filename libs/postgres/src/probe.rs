//! Whether the database answers, for readiness.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::Mutex;

/// A check that asks the database something trivial, over a connection of its own: a pool whose connections are all in use
/// says nothing about the database. The outcome of a check is an error's text when there was no answer.
pub fn probe(db: &PgPool) -> impl FnMut() -> BoxFuture<'static, Result<(), String>> + Send + use<> {
    let (options, kept) = (db.connect_options(), Arc::new(Mutex::new(None::<PgConnection>)));
    move || {
        let (options, kept) = (options.clone(), kept.clone());
        Box::pin(async move {
            let mut kept = kept.lock().await;
            // Taken out, so that a connection on which a check was given up is not used again.
            let asked = match kept.take() {
                Some(connection) => Ok(connection),
                None => PgConnection::connect_with(&options).await,
            };
            let mut connection = asked.map_err(|error| error.to_string())?;
            sqlx::query("SELECT 1").execute(&mut connection).await.map_err(|error| error.to_string())?;
            *kept = Some(connection);
            Ok(())
        })
    }
}
