//! How soon a gateway serves: after its start, from what it has stored; and after `POST /config`, while requests go on.

mod declared;
mod stored;

use crate::{Pace, report::Report};

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    stored::record(pace, report).await?;
    declared::record(pace, report).await
}
