//! Attacks, by whoever might try: a client of a gateway, a stranger, a tenant with a node of its own, another organization, the
//! holder of an inner certificate. Each is a test that says what has to hold.
//!
//! With all other tests they run in a short form. `./dev attack` runs them at full size: it sets `LANDBRIDGE_ATTACK=full`.

mod callers;
mod certificates;
mod clients;
mod hostile_input;
mod inner_doors;
mod node_identity;
mod nodes;
mod organizations;
mod ports;

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use testbed::{Api, Region};
use tokio::time::sleep;

/// How often the bystander asks.
const PAUSE: Duration = Duration::from_millis(20);

/// How many of something an attack tries: in the short form, and at full size.
fn size(short: usize, full: usize) -> usize {
    match std::env::var("LANDBRIDGE_ATTACK").as_deref() {
        Ok("full") => full,
        _ => short,
    }
}

/// Runs `attack` while somebody who has nothing to do with it asks for `path` again and again. Every answer has to be 200. How long the
/// slowest took is printed: it depends on the machine.
async fn beside_a_bystander<T>(
    region: &Region,
    path: &str,
    attack: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let api: Api = region.edge_api();
    api.get(path).await?.expect(200)?;
    let slowest = Cell::new(Duration::ZERO);
    let bystander = async {
        loop {
            let begun = Instant::now();
            let answer = api.get(path).await;
            slowest.set(slowest.get().max(begun.elapsed()));
            if let Err(error) = answer.and_then(|answer| answer.expect(200)) {
                return error.context("the bystander was harmed");
            }
            sleep(PAUSE).await;
        }
    };
    let attacked = tokio::select! {
        attacked = attack => attacked?,
        error = bystander => return Err(error),
    };
    eprintln!("{path}: the bystander's slowest answer took {} ms", slowest.get().as_millis());
    Ok(attacked)
}
