//! What the settings say of ACME, checked and loaded.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::http::{HeaderValue, Uri};

use super::client::{self, Client};
use crate::{
    entities::AcmeOffer,
    settings::{Acme as Settings, AcmeDirectory, DnsHook},
};

/// Characters of the name that a region gives to an ACME server.
const NAME_CHARS_MAX: usize = 64;
/// Longest time that is waited for a record in DNS, whatever the settings or the hook say.
pub const DNS_WAIT_MAX: Duration = Duration::from_secs(600);

/// The ACME servers of the region, and its hook. Cheap to clone.
#[derive(Clone, Default)]
pub struct Options {
    directories: Arc<BTreeMap<String, Directory>>,
    default: Option<String>,
    /// What makes records in DNS.
    pub hook: Option<Arc<Hook>>,
}

/// An ACME server.
#[derive(Clone)]
pub struct Directory {
    /// What the region calls it.
    pub name: String,
    /// Of its directory.
    pub url: String,
    /// Reaches it.
    pub client: Client,
}

/// What makes records in DNS.
pub struct Hook {
    /// What is posted to.
    pub url: Uri,
    /// `Bearer …`; never shown.
    pub authorization: Option<HeaderValue>,
    /// Reaches it.
    pub client: Client,
    /// How long a record takes to be seen, unless it says so itself.
    pub wait: Duration,
}

impl Options {
    /// Reads the files that the settings name. An error names the setting.
    pub fn load(settings: &Settings) -> anyhow::Result<Self> {
        let mut directories = BTreeMap::new();
        for (name, directory) in &settings.directories {
            let loaded = load_directory(name, directory);
            directories.insert(name.clone(), loaded.with_context(|| format!("acme.directories.{name}"))?);
        }
        let default = match (&settings.default, directories.len()) {
            (Some(name), _) => {
                anyhow::ensure!(
                    directories.contains_key(name),
                    "acme.default: acme.directories has no {name}"
                );
                Some(name.clone())
            }
            (None, 1) => directories.keys().next().cloned(),
            (None, _) => None,
        };
        let hook = settings.dns_hook.as_ref().map(load_hook).transpose().context("acme.dns_hook")?;
        Ok(Self { directories: Arc::new(directories), default, hook: hook.map(Arc::new) })
    }

    /// What may be asked for.
    pub fn offer(&self) -> AcmeOffer {
        AcmeOffer {
            directories: self.directories.keys().cloned().collect(),
            default: self.default.clone(),
            has_dns: self.hook.is_some(),
        }
    }

    /// The server that an entity names, or that is for those that name none.
    pub fn directory(&self, named: Option<&str>) -> Option<&Directory> {
        self.directories.get(named.or(self.default.as_deref())?)
    }
}

fn load_directory(name: &str, AcmeDirectory { url, ca }: &AcmeDirectory) -> anyhow::Result<Directory> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_name);
    anyhow::ensure!(fits, "a name has up to {NAME_CHARS_MAX} lower-case letters, digits and `-`");
    client::url(url).context("url")?;
    Ok(Directory {
        name: name.to_owned(),
        url: url.clone(),
        client: Client::new(ca.as_deref()).context("ca")?,
    })
}

fn load_hook(DnsHook { url, token_file, ca, wait_seconds }: &DnsHook) -> anyhow::Result<Hook> {
    let wait = Duration::from_secs((*wait_seconds).into());
    anyhow::ensure!(wait <= DNS_WAIT_MAX, "wait_seconds: at most {}", DNS_WAIT_MAX.as_secs());
    let authorization = match token_file {
        None => None,
        Some(path) => {
            let token = fs::read_to_string(path)
                .with_context(|| format!("token_file: cannot read {}", path.display()))?;
            let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
            let mut value =
                value.with_context(|| format!("token_file: {} holds no token", path.display()))?;
            value.set_sensitive(true);
            Some(value)
        }
    };
    let client = Client::new(ca.as_deref()).context("ca")?;
    Ok(Hook { url: client::url(url).context("url")?, authorization, client, wait })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(names: &[&str], default: Option<&str>, hook: Option<DnsHook>) -> anyhow::Result<Options> {
        let directory = AcmeDirectory { url: "https://acme.example/directory".to_owned(), ca: None };
        let directories = names.iter().map(|name| ((*name).to_owned(), directory.clone())).collect();
        Options::load(&Settings { directories, default: default.map(str::to_owned), dns_hook: hook })
    }

    #[test]
    fn the_only_server_is_the_default_and_several_need_one_to_be_named() {
        let default = |names: &[&str], default| loaded(names, default, None).expect("usable").offer().default;
        assert_eq!(default(&["one"], None).as_deref(), Some("one"));
        assert_eq!(default(&["one", "two"], None), None);
        assert_eq!(default(&["one", "two"], Some("two")).as_deref(), Some("two"));
        let error =
            |names: &[&str], default| format!("{:#}", loaded(names, default, None).err().expect("refused"));
        assert!(error(&["one"], Some("three")).contains("acme.default"));
        assert!(error(&["One"], None).contains("acme.directories.One"));
    }

    #[test]
    fn a_hook_that_cannot_be_used_is_refused_by_its_setting() {
        let hook = |url: &str, token_file: Option<&str>, wait_seconds| DnsHook {
            url: url.to_owned(),
            token_file: token_file.map(Into::into),
            ca: None,
            wait_seconds,
        };
        assert!(
            loaded(&["one"], None, Some(hook("https://dns.example/", None, 30)))
                .expect("usable")
                .offer()
                .has_dns
        );
        for (hook, setting) in [
            (hook("http://dns.example/", None, 30), "url"),
            (hook("https://dns.example/", Some("/nowhere"), 30), "token_file"),
            (hook("https://dns.example/", None, 601), "wait_seconds"),
        ] {
            let error = format!("{:#}", loaded(&["one"], None, Some(hook)).err().expect("refused"));
            assert!(error.contains("acme.dns_hook") && error.contains(setting), "{error}");
        }
    }
}
