use std::{collections::BTreeMap, io::Write as _};

use serde::Deserialize;
use utoipa::ToSchema;

use crate::{SettingsError, load, reference, sections::Nats};

/// Settings of a test.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Sample {
    /// Where it stands.
    region: String,
    nats: Nats,
    #[serde(default)]
    others: BTreeMap<String, Nats>,
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    file.write_all(text.as_bytes()).expect("write");
    file
}

#[test]
fn reads_a_file_and_refuses_unknown_keys() {
    let good = file("region = 'us'\n[nats]\nurl = 'tls://x'\n");
    let sample: Sample = load(Some(good.path())).expect("valid");
    assert_eq!((sample.region.as_str(), sample.nats.url.as_str()), ("us", "tls://x"));
    assert!(sample.others.is_empty());

    let several = file("region = 'us'\n[nats]\nurl = 'tls://x'\n[others.eu]\nurl = 'tls://y'\n");
    let sample: Sample = load(Some(several.path())).expect("valid");
    assert_eq!(sample.others["eu"].url, "tls://y");

    let bad = file("region = 'us'\nregoin = 'eu'\n[nats]\nurl = 'tls://x'\n");
    let error = load::<Sample>(Some(bad.path())).expect_err("unknown key");
    assert!(error.to_string().contains("regoin"), "{error}");
}

#[test]
fn says_which_file_is_missing() {
    let error = load::<Sample>(Some("/nonexistent/settings.toml".as_ref())).expect_err("no file");
    assert!(matches!(error, SettingsError::NoFile(path) if path.ends_with("settings.toml")));
}

#[test]
fn reference_lists_every_setting_with_its_variable() {
    let text = reference::markdown::<Sample>("sample");
    assert!(text.contains("| `region` | `LANDBRIDGE_REGION` | required | Where it stands. |"), "{text}");
    assert!(
        text.contains("| `nats.url` | `LANDBRIDGE_NATS__URL` | required | As in `tls://127.0.0.1:4222`. |"),
        "{text}"
    );
    assert!(text.contains("| `others.<name>.url` | `LANDBRIDGE_OTHERS__<NAME>__URL` | required |"), "{text}");
}
