//! A client that writes exactly the bytes it is given and reads HTTP/1.1 answers one by one.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Every wait in these tests ends here.
pub const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// The interim answers before it, but for `100 Continue`.
    pub interim: Vec<Response>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub struct Client<S = TcpStream> {
    pub stream: S,
    /// The host that [`Client::get`] names.
    pub host: &'static str,
    buffer: Vec<u8>,
}

impl Client<TcpStream> {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, host: "a", buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// An error: the connection is closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        timeout(DEADLINE, self.stream.write_all(bytes.as_ref())).await.unwrap()?;
        self.stream.flush().await
    }

    pub async fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host)).await;
        self.response().await
    }

    /// The next answer to a request other than HEAD.
    pub async fn response(&mut self) -> Response {
        self.try_response().await.expect("the connection ended within an answer")
    }

    pub async fn response_to_head(&mut self) -> Response {
        self.head().await.unwrap()
    }

    /// None when the connection ends before the answer is whole.
    pub async fn try_response(&mut self) -> Option<Response> {
        let mut response = self.head().await?;
        let mut interim = Vec::new();
        while matches!(response.status, 102..=199) {
            interim.push(std::mem::replace(&mut response, self.head().await?));
        }
        response.interim = interim;
        if matches!(response.status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        if response.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                if size == 0 {
                    break;
                }
                response.body.extend(self.take(size).await?);
                assert_eq!(self.line().await?, "");
            }
            response.trailers = self.fields().await?;
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().unwrap();
            response.body = self.take(length).await?;
        } else {
            response.body = self.rest().await.ok()?;
        }
        Some(response)
    }

    pub async fn head(&mut self) -> Option<Response> {
        let line = self.line().await?;
        let status =
            line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}")).parse().unwrap();
        let headers = self.fields().await?;
        Some(Response { status, headers, body: Vec::new(), trailers: Vec::new(), interim: Vec::new() })
    }

    /// Reads to the end of the connection. An error: it was reset.
    pub async fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let read = timeout(DEADLINE, self.stream.read_to_end(&mut self.buffer));
        read.await.expect("the connection stays open")?;
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The connection is closed by the gateway, with nothing more on it.
    pub async fn assert_closed(&mut self) {
        let rest = self.rest().await.unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    pub async fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < size {
            self.fill().await?;
        }
        let rest = self.buffer.split_off(size);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// Everything up to `end`, which is there in the end.
    pub async fn take_until(&mut self, end: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some(at) = text.find(end) {
                return text[..at + end.len()].to_owned();
            }
            self.fill().await.expect("the connection ended");
        }
    }

    async fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Some(fields) };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(at + 2).await?;
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill().await?;
        }
    }

    /// More bytes; None at the end or a reset.
    async fn fill(&mut self) -> Option<()> {
        let read =
            timeout(DEADLINE, self.stream.read_buf(&mut self.buffer)).await.expect("no answer in time");
        read.ok().filter(|read| *read > 0).map(drop)
    }
}
