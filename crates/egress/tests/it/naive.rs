//! What most programs do: parse, resolve, connect, follow. It judges nothing.

use std::net::ToSocketAddrs as _;

use countersign_egress::Tls;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Fetches a URL with up to five redirects; `None` if there was no answer.
pub(crate) async fn get(tls: &Tls, url: &str) -> Option<String> {
    let mut url = url::Url::parse(url).ok()?;
    for _ in 0..6 {
        let answer = ask(tls, &url).await?;
        let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
        match location {
            Some(location) => url = url.join(location).ok()?,
            None => return Some(answer),
        }
    }
    None
}

async fn ask(tls: &Tls, url: &url::Url) -> Option<String> {
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default()?;
    // Resolved by the system, as everybody does.
    let address = tokio::task::spawn_blocking({
        let host = host.clone();
        move || (host.as_str(), port).to_socket_addrs().ok()?.next()
    });
    let mut stream = TcpStream::connect(address.await.unwrap()?).await.ok()?;
    let request = format!("GET {} HTTP/1.1\r\nhost: {host}\r\n\r\n", url.path());
    let mut answer = String::new();
    match url.scheme() {
        "https" => {
            let mut stream = tls.connect(stream, host.trim_end_matches('.')).await.ok()?;
            stream.write_all(request.as_bytes()).await.ok()?;
            stream.read_to_string(&mut answer).await.ok()?;
        }
        "http" => {
            stream.write_all(request.as_bytes()).await.ok()?;
            stream.read_to_string(&mut answer).await.ok()?;
        }
        _ => return None,
    }
    Some(answer)
}
