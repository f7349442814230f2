//! Other proxies, where the machine has them, with the gateway's routes and keys. Their configurations lie in `peers/`.
//!
//! Both look requests up by the longest path prefix and by the key's header, and tell the upstream the consumer's name,
//! as the gateway does. Neither takes a change without a reload; that is not measured here.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use testbed::{folder::Folder, ports::Ports};

use super::target::{Target, on_proxy_core};
use crate::{
    documents::{Size, consumer_name, key, route_name, route_path},
    report::Report,
};

const NGINX: &str = include_str!("../../peers/nginx.conf");
const HAPROXY: &str = include_str!("../../peers/haproxy.cfg");
/// In the order in which they are measured.
pub const NAMES: [&str; 2] = ["nginx", "haproxy"];
/// Where Debian puts servers, which is not on everyone's path.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Starts nginx and HAProxy; notes what is absent.
pub async fn start(
    folder: &Folder,
    ports: &mut Ports,
    upstream: SocketAddr,
    size: Size,
    report: &mut Report,
) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for name in NAMES {
        let Some(program) = find(name) else {
            report.note(format!("{name} is not installed: not compared"));
            continue;
        };
        let (home, address) = (folder.make(name)?, ports.take()?);
        let (arguments, file): (&[&str], &Path) = match name {
            "nginx" => (&["-c"], &nginx(&home, size)?),
            _ => (&["-db", "-f"], &haproxy(&home, size)?),
        };
        fill(file, &home, address, upstream)?;
        let program =
            arguments.iter().fold(on_proxy_core(name, &program), |program, argument| program.arg(argument));
        targets.push(Target::start(name, address, program.arg(file), folder, (address, "/")).await?);
    }
    Ok(targets)
}

fn nginx(home: &Path, size: Size) -> anyhow::Result<PathBuf> {
    let locations = (0..size.routes).map(|route| {
        let path = route_path(route);
        format!("location {path} {{ if ($consumer = \"\") {{ return 401; }} proxy_pass http://upstream; }}\n")
    });
    write(&home.join("locations.conf"), &locations.collect::<String>())?;
    let keys =
        (0..size.consumers).map(|consumer| format!("\"{}\" {};\n", key(consumer), consumer_name(consumer)));
    write(&home.join("keys.map"), &keys.collect::<String>())?;
    let file = home.join("nginx.conf");
    write(&file, NGINX)?;
    Ok(file)
}

fn haproxy(home: &Path, size: Size) -> anyhow::Result<PathBuf> {
    let routes = (0..size.routes).map(|route| format!("{} {}\n", route_path(route), route_name(route)));
    write(&home.join("routes.map"), &routes.collect::<String>())?;
    let keys = (0..size.consumers).map(|consumer| format!("{} {}\n", key(consumer), consumer_name(consumer)));
    write(&home.join("keys.map"), &keys.collect::<String>())?;
    let file = home.join("haproxy.cfg");
    write(&file, HAPROXY)?;
    Ok(file)
}

/// Puts this run's folder and addresses into a peer's configuration.
fn fill(file: &Path, home: &Path, listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let home = home.to_str().context("the folder's name is not UTF-8")?;
    let text = fs::read_to_string(file)?;
    let text = text.replace("@FOLDER@", home).replace("@LISTEN@", &listen.to_string());
    write(file, &text.replace("@UPSTREAM@", &upstream.to_string()))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}
