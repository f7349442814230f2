//! As much of a NATS server as a publisher needs: it takes connections and keeps what is published. It delivers nothing.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the server says of itself.
const INFO: &str = concat!(
    r#"INFO {"server_id":"test","server_name":"test","version":"2.10.0","go":"","host":"127.0.0.1","port":0,"#,
    r#""headers":true,"max_payload":1048576,"proto":1,"client_id":1}"#,
    "\r\n"
);

/// Cheap to clone.
#[derive(Clone)]
pub struct Nats {
    address: SocketAddr,
    published: Arc<Mutex<Vec<(String, String)>>>,
}

impl Nats {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let nats = Self { address: listener.local_addr().expect("an address"), published: Arc::default() };
        let server = nats.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                // A client that goes ends its connection in whatever way.
                tokio::spawn(async move { drop(server.serve(stream).await) });
            }
        });
        nats
    }

    /// A client that is connected.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(format!("nats://{}", self.address)).await.expect("connected")
    }

    /// The payloads that were published on `subject`, in order.
    pub fn published(&self, subject: &str) -> Vec<String> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.iter().filter(|(on, _)| on == subject).map(|(_, payload)| payload.clone()).collect()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        writer.write_all(INFO.as_bytes()).await?;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["PING"] => writer.write_all(b"PONG\r\n").await?,
                ["PUB", subject, .., length] => self.keep(&mut reader, subject, 0, length).await?,
                ["HPUB", subject, .., headers, length] => {
                    let headers = headers.parse().unwrap_or_default();
                    self.keep(&mut reader, subject, headers, length).await?;
                }
                _ => {}
            }
        }
    }

    /// Reads a message of `length` bytes, of which the first `headers` are headers.
    async fn keep(
        &self,
        reader: &mut (impl tokio::io::AsyncRead + Unpin),
        subject: &str,
        headers: usize,
        length: &str,
    ) -> std::io::Result<()> {
        let length: usize = length.parse().map_err(std::io::Error::other)?;
        let mut message = vec![0; length + 2];
        reader.read_exact(&mut message).await?;
        let payload = String::from_utf8_lossy(&message[headers..length]).into_owned();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.push((subject.to_owned(), payload));
        Ok(())
    }
}
