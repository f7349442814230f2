//! A real OpenID provider, which `./dev` builds (`infra/openid-provider`), and a browser that logs in there.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Response, redirect};
use serde_json::Value;
use tokio::time::sleep;

/// Where `./dev` puts it.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.dev/bin/openid-provider");
/// Runs a program until the other end of the standard input is gone.
const LEASH: &str = r#""$@" </dev/null & program=$!; read -r _; kill "$program"; wait"#;
/// Longest time of a start.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Where browsers come back to: the page of the tests, which asks for the host `a`.
pub const PAGE: &str = "http://a/page";

/// A running provider. Dropping it ends it.
pub struct Provider {
    pub port: u16,
    program: Child,
}

impl Provider {
    pub async fn start() -> Self {
        // Not held any more when the provider wants it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self::start_at(port).await
    }

    /// Starts at this port, with new keys.
    pub async fn start_at(port: u16) -> Self {
        assert!(
            PathBuf::from(PROGRAM).is_file(),
            "there is no openid-provider in .dev/bin: run `./dev test` once"
        );
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh", PROGRAM, &port.to_string(), PAGE]).stdin(Stdio::piped());
        let program = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let provider = Self { port, program };
        let began = Instant::now();
        let url = provider.url(".well-known/openid-configuration");
        while browser().get(&url).send().await.is_err() {
            assert!(began.elapsed() < START_DEADLINE, "the provider does not start");
            sleep(Duration::from_millis(50)).await;
        }
        provider
    }

    pub fn issuer(&self) -> String {
        self.url("")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}/{path}", self.port)
    }

    /// Logs in where the gateway has sent the browser. Returns where the provider sends it back to.
    pub async fn log_in(&self, authorize: &str) -> String {
        let login = location(&browser().get(authorize).send().await.unwrap());
        let (_, id) = login.split_once('=').unwrap();
        let form = format!("id={id}&username=test-user%40localhost&password=verysecure");
        let kind = "application/x-www-form-urlencoded";
        let request = browser().post(self.url("login/username")).header("content-type", kind).body(form);
        let back = location(&request.send().await.unwrap());
        let back = back.strip_prefix('/').map_or_else(|| back.clone(), |path| self.url(path));
        location(&browser().get(back).send().await.unwrap())
    }

    /// The tokens of a login at the client `api`.
    pub async fn tokens(&self) -> Value {
        let query =
            format!("client_id=api&redirect_uri={PAGE}&response_type=code&scope=openid%20profile&state=s");
        let back = self.log_in(&self.url(&format!("auth?{query}"))).await;
        let code = back.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).unwrap().to_owned();
        let form = format!("grant_type=authorization_code&code={code}&redirect_uri={PAGE}");
        let kind = "application/x-www-form-urlencoded";
        let request = browser().post(self.url("oauth/token")).basic_auth("api", Some("secret"));
        let answer = request.header("content-type", kind).body(form).send().await.unwrap();
        answer.json().await.unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        // It has ended in any case.
        let _ = self.program.wait();
    }
}

fn browser() -> Client {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

fn location(response: &Response) -> String {
    let location = response.headers().get("location");
    location.unwrap_or_else(|| panic!("{response:?}")).to_str().unwrap().to_owned()
}
