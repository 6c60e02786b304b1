//! A server whose packets are lost: nothing is refused and nothing ends, it is only silent. A proxy in between stops forwarding.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Forwards connections until it is cut. Those that were open then stay silent for ever; new ones are silent until it is mended.
struct Proxy {
    port: u16,
    /// Odd while it is cut.
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    async fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicU64::new(0));
        let state = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, to, Arc::clone(&state)));
            }
        });
        Proxy { port, cuts }
    }

    fn cut(&self) {
        assert_eq!(self.cuts.fetch_add(1, SeqCst) % 2, 0);
    }

    fn mend(&self) {
        assert_eq!(self.cuts.fetch_add(1, SeqCst) % 2, 1);
    }
}

async fn forward(client: TcpStream, to: u16, cuts: Arc<AtomicU64>) {
    while cuts.load(SeqCst) % 2 == 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let era = cuts.load(SeqCst);
    let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let (mut client_in, mut client_out) = client.into_split();
    let (mut server_in, mut server_out) = server.into_split();
    let there = copy(&mut client_in, &mut server_out, &cuts, era);
    let back = copy(&mut server_in, &mut client_out, &cuts, era);
    tokio::select! { () = there => {}, () = back => {} }
}

/// Copies until one side ends; after a cut it holds both open and drops what comes.
async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    cuts: &AtomicU64,
    era: u64,
) {
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        if cuts.load(SeqCst) != era {
            return std::future::pending().await;
        }
        match read {
            Ok(length) if length > 0 && to.write_all(&buffer[..length]).await.is_ok() => {}
            _ => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_holds_nobody_and_is_found_again() {
    let cluster = Postgres::start();
    let proxy = Proxy::start(cluster.port()).await;
    let config = PostgresConfig {
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port: proxy.port },
        connect_timeout: Duration::from_millis(400),
        judging: Duration::from_millis(400),
        connections: 6,
        ..shop(&cluster)
    };
    let pool = start(config).await;
    assert_eq!(one(&pool).await.unwrap().values, [Value::Integer(100)]);

    proxy.cut();
    // What is known of the schema is believed for two seconds; then a question about it is not answered.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let cut = Instant::now();
    loop {
        let started = Instant::now();
        let failed = one(&pool).await.err().expect("the server is silent");
        let took = started.elapsed();
        // The statement's own time, or the schema's; half a second is for a busy machine.
        assert!(took < Duration::from_millis(400 + 500), "{took:?}: {failed:?}");
        match failed {
            EngineError::Unreachable(cause) if cause.starts_with("not tried again yet") => break,
            EngineError::Unreachable(_) | EngineError::Killed | EngineError::Busy { .. } => {}
            other => panic!("{other:?}"),
        }
        assert!(cut.elapsed() < Duration::from_secs(20), "the breaker never opens");
    }
    let started = Instant::now();
    let together = self::together(&pool, 8).await;
    assert!(together.iter().all(|answer| matches!(answer, Err(EngineError::Unreachable(_)))));
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());

    proxy.mend();
    let mended = Instant::now();
    while one(&pool).await.is_err() {
        assert!(mended.elapsed() < Duration::from_secs(20), "it is never found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its sessions are new ones, and more than one.
    let together = self::together(&pool, 2).await;
    assert!(together.iter().all(Result::is_ok));
}

/// What each call runs under.
const LIMITS: RunLimits = RunLimits { time: Duration::from_millis(400), ..WIDE };

async fn one(pool: &PostgresPool) -> Result<EngineRows, EngineError> {
    let answer = query(pool, of("1"), "SELECT count(*) FROM customers", vec![], LIMITS);
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("an answer, be it an error")
}

/// So many calls at once.
async fn together(pool: &Arc<PostgresPool>, count: usize) -> Vec<Result<EngineRows, EngineError>> {
    let call = |_| {
        let pool = Arc::clone(pool);
        tokio::spawn(async move { one(&pool).await })
    };
    let calls: Vec<_> = (0..count).map(call).collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}
