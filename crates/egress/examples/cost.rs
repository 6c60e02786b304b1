//! What the guards of a fetch cost: the client beside a plain one, against the same server on loopback, in turns. `cargo xtask bench fetch`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement prints, fails loudly, and dials by itself to compare"
)]

#[path = "../tests/it/site.rs"]
#[allow(dead_code, reason = "the tests ask more of it")]
mod site;

use std::time::{Duration, Instant};

use countersign_egress::{
    Roots, Tls,
    http::{Client, Policy},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use site::{Site, ok};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

const ROUNDS: usize = 9;
const FETCHES: usize = 200;
const BODY: usize = 16 * 1024;
/// What the guards may add to one fetch.
const BUDGET: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["IP:127.0.0.1"]);
    let roots = Roots::File(dir.path().join("ca.pem"));
    let (tls, client) = (Tls::new(&roots).unwrap(), Client::new(&roots).unwrap());
    println!(
        "one fetch of {BODY} bytes, a connection each, on loopback; median of {ROUNDS} rounds of {FETCHES}"
    );
    let mut worst = Duration::ZERO;
    for scheme in ["http", "https"] {
        let body = "x".repeat(BODY);
        let site = match scheme {
            "https" => Site::start_tls(dir.path(), move |_| ok(&body)),
            _ => Site::start(move |_| ok(&body)),
        };
        let port = site.port;
        let url = format!("{scheme}://127.0.0.1:{port}/");
        let policy = Policy::operator_named(&url).unwrap();
        let (mut plain, mut guarded) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            plain.push(time(async || naive(port, (scheme == "https").then_some(&tls)).await).await);
            guarded.push(time(async || client.get(&url, &policy).await.unwrap().body.len()).await);
            site.seen();
        }
        let (plain, guarded) = (median(plain), median(guarded));
        let added = guarded.saturating_sub(plain);
        worst = worst.max(added);
        println!("{scheme:>5}: plain client {plain:>9.1?}, fetch {guarded:>9.1?}, added {added:.1?}");
    }
    assert!(worst < BUDGET, "the guards add {worst:?} to a fetch, more than {BUDGET:?}");
}

/// The mean time of one fetch of a round.
async fn time(fetch: impl AsyncFn() -> usize) -> Duration {
    let started = Instant::now();
    for _ in 0..FETCHES {
        assert_eq!(fetch().await, BODY);
    }
    started.elapsed() / u32::try_from(FETCHES).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A client without any rule.
async fn naive(port: u16, tls: Option<&Tls>) -> usize {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    match tls {
        Some(tls) => ask(tls.connect(stream, "127.0.0.1").await.unwrap(), port).await,
        None => ask(stream, port).await,
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, port: u16) -> usize {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("/").header("host", format!("127.0.0.1:{port}")).body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    let length = answer.into_body().collect().await.unwrap().to_bytes().len();
    connection.abort();
    length
}
