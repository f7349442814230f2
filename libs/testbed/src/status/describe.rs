//! A deployment for people: addresses, folders, the token, and commands to try.

use std::fmt::Write;

use super::{GatewayStatus, RegionStatus, Status, Tenant};

impl Status {
    /// As `./dev up` and `./dev status` print it.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.describe_into(&mut text);
        text
    }

    fn describe_into(&self, text: &mut String) -> std::fmt::Result {
        for region in &self.regions {
            region.describe_into(text)?;
        }
        if self.regions.len() > 1 {
            writeln!(text, "Between the regions: ./dev wan status")?;
        }
        match &self.tenant {
            Some(tenant) => self.describe_tenant(tenant, text),
            None => self.describe_by_hand(text),
        }
    }

    fn describe_tenant(&self, tenant: &Tenant, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\nOrganization {} ({})", tenant.organization.name, tenant.organization.id)?;
        writeln!(text, "\nTo try:\n  export LANDBRIDGE_TOKEN={}", tenant.token)?;
        for region in &self.regions {
            let curl = format!(
                "curl --cacert {} -H \"Authorization: Bearer $LANDBRIDGE_TOKEN\"",
                region.ca_file.display()
            );
            writeln!(text, "  {curl} {}/v2/control-planes", region.api)?;
            let Some(serving) = &region.serving else { continue };
            for plane in serving.control_planes.iter().take(1) {
                let url = format!("{}/v2/control-planes/{}", region.api, plane.id);
                writeln!(text, "  {curl} {url}/core-entities/routes")?;
            }
            for gateway in &serving.gateways {
                writeln!(text, "  curl {}/status", gateway.admin)?;
            }
        }
        Ok(())
    }

    fn describe_by_hand(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\nOnly Postgres and NATS run. To run a service by hand:")?;
        let service = self.regions.first().and_then(|region| region.services.first_key_value());
        let Some((name, service)) = service else { return Ok(()) };
        let settings = service.settings.display();
        writeln!(text, "  {name} migrate --config {settings} && {name} serve --config {settings}")
    }
}

impl RegionStatus {
    fn describe_into(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "Region {}", self.region)?;
        let mut line = |name: &str, rest: String| writeln!(text, "  {name:<13} {rest}");
        line("folder", self.folder.display().to_string())?;
        line("logs", self.logs.display().to_string())?;
        if let Some(serving) = &self.serving {
            line("api", format!("{}   the edge; its status {}/status", self.api, serving.edge_admin))?;
        }
        line("sync", self.sync.clone())?;
        for (name, service) in &self.services {
            line(name, format!("{}   operator {}", service.api, service.operator))?;
        }
        let data = self.postgres.data.display();
        line("postgres", format!("{}   data {data}", self.postgres.address))?;
        line("nats", format!("{}   data {}", self.nats.url, self.nats.store.display()))?;
        let Some(serving) = &self.serving else { return Ok(()) };
        line("upstream", serving.upstream.clone())?;
        line("mails", serving.mails.display().to_string())?;
        for plane in &serving.control_planes {
            line("control plane", format!("{} ({})", plane.name, plane.id))?;
        }
        for GatewayStatus { http, https, admin, .. } in &serving.gateways {
            line("gateway", format!("{http} {https}   admin {admin}"))?;
        }
        Ok(())
    }
}
