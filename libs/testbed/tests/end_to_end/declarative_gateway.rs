//! A data plane with a file and nothing else.

use std::fs;

use testbed::{
    Api,
    api::http_client,
    binaries,
    folder::Folder,
    ports::Ports,
    process::{Exit, Process, Program},
    upstream::Upstream,
    wait,
};

use crate::harness::{SOON, run};

fn file(upstream: &str, path: &str) -> String {
    format!(
        "_format_version: \"3.0\"\nservices:\n- name: echo\n  url: {upstream}\n  routes:\n  - name: only\n    paths: [{path}]\n"
    )
}

/// What `POST /config` asks for.
const TOKEN: &str = "a-token-of-tests-only";

/// Documents that must change nothing, and what the answer says.
const BAD_FILES: [(&str, &str); 5] = [
    ("_format_version: \"3.0\"\nservices: [\n", "line"),
    ("_format_version: \"9.9\"\n", "_format_version"),
    ("_format_version: \"3.0\"\nservices:\n- name: a\n  host: a.example\n  colour: red\n", "colour"),
    ("_format_version: \"3.0\"\nroutes:\n- name: a\n  paths: [/a]\n  service: {name: missing}\n", "service"),
    ("", "_format_version"),
];

#[test]
fn a_file_alone_is_served_replaced_and_kept() {
    run(async {
        let folder = Folder::temporary()?;
        let mut ports = Ports::reserve()?;
        let upstream = Upstream::start(&folder, ports.take()?).await?;
        let (http, admin) = (ports.take()?, ports.take()?);
        let path = folder.path().join("gateway.yaml");
        fs::write(&path, file(&upstream.url(), "/first"))?;
        let token = folder.path().join("token");
        fs::write(&token, TOKEN)?;
        let program = Program::new("alone", binaries::workspace("dataplane")?)
            .arg("serve")
            .arg("--declarative")
            .arg(&path)
            .arg("--config-token-file")
            .arg(&token)
            .env("LANDBRIDGE_HTTP", http.to_string())
            .env("LANDBRIDGE_HTTPS", "off")
            .env("LANDBRIDGE_ADMIN", admin.to_string())
            .in_folder(folder.path());
        let process = Process::start(program, &folder).await?;
        let gateway = Api::new(http_client()?, format!("http://{http}"), None);
        let admin = Api::new(http_client()?, format!("http://{admin}"), Some(TOKEN));
        let post = |document: String| {
            let request = admin.request(reqwest::Method::POST, "/config");
            request.header("content-type", "application/yaml").body(document)
        };
        let until_served = async |path: &str| {
            wait::until(&format!("{path} is served"), SOON, async || {
                let answer = gateway.get(path).await.map_err(|error| format!("{error:#}"))?;
                if answer.status == 200 { Ok(()) } else { Err(answer.text) }
            })
            .await
        };
        until_served("/first").await?;
        assert_eq!(admin.get("/status/ready").await?.status, 200);

        // A page of another site can send no more than this.
        let plain = admin.request(reqwest::Method::POST, "/config").body(file(&upstream.url(), "/evil"));
        assert_eq!(admin.send(plain).await?.status, 415);
        let foreign = post(file(&upstream.url(), "/evil")).header("origin", "http://evil.example");
        assert_eq!(admin.send(foreign).await?.status, 403);
        let changed = admin.send(post(file(&upstream.url(), "/second"))).await?.expect(200)?;
        assert_eq!(
            (&changed["created"], &changed["updated"], &changed["deleted"]),
            (&0.into(), &1.into(), &0.into())
        );
        gateway.get("/second").await?.expect(200)?;
        assert_eq!(gateway.get("/first").await?.status, 404);

        let before = admin.get("/status").await?.expect(200)?["configuration"].clone();
        for (bad, said) in BAD_FILES {
            let answer = admin.send(post(bad.to_owned())).await?;
            let message = answer.expect(400)?["message"].to_string();
            assert!(message.contains(said), "{bad:?}: {message}");
        }
        assert_eq!(admin.get("/status").await?.expect(200)?["configuration"], before);
        gateway.get("/second").await?.expect(200)?;

        // A file that cannot be served is refused at the start, by name.
        process.kill().await?;
        fs::write(&path, BAD_FILES[2].0)?;
        process.start_again().await?;
        assert_eq!(process.wait(SOON).await?, Exit::Code(1));
        fs::write(&path, file(&upstream.url(), "/third"))?;
        process.start_again().await?;
        until_served("/third").await?;
        assert_eq!(gateway.get("/second").await?.status, 404);
        assert_eq!(process.stop().await?, Exit::Code(0));
        upstream.process().stop().await?;
        drop((process, upstream));
        folder.close().await
    });
}
