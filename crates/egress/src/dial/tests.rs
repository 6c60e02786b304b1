//! Dialling on this machine.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp { host: host.to_owned(), port }
}

#[tokio::test]
async fn the_judged_address_is_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let policy = AddressPolicy::operator_named();
    let mut dialed = dial(&tcp("127.0.0.1", address.port()), &policy, soon()).await.unwrap();
    assert_eq!(dialed.peer, Some(address));
    assert!(dialed.is_local());
    let (mut accepted, _) = listener.accept().await.unwrap();
    dialed.stream.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
}

/// A listener proves that the refusal is the policy's: without it the connection would be there.
#[tokio::test]
async fn a_forbidden_address_is_not_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
        let refused = dial(&tcp(host, port), &AddressPolicy::public_only(), soon()).await;
        assert!(matches!(refused, Err(DialError::Forbidden { class: AddressClass::Loopback, .. })), "{host}");
    }
    let silent = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(silent.is_err());
    let metadata = dial(&tcp("169.254.169.254", 80), &AddressPolicy::operator_named(), soon()).await;
    assert!(matches!(metadata, Err(DialError::Forbidden { class: AddressClass::LinkLocal, .. })));
}

#[test]
fn one_forbidden_answer_refuses_the_name() {
    let mixed = ["8.8.8.8:53".parse().unwrap(), "169.254.169.254:53".parse().unwrap()];
    assert!(judged(mixed.to_vec(), &AddressPolicy::operator_named()).is_err());
    assert!(judged(mixed[..1].to_vec(), &AddressPolicy::operator_named()).is_ok());
}

#[tokio::test]
async fn nobody_listening_is_told_apart_from_a_forbidden_address() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = dial(&tcp("127.0.0.1", port), &AddressPolicy::operator_named(), soon()).await;
    assert!(matches!(refused, Err(DialError::Connect(_))));
    let missing =
        dial(&Endpoint::Unix("/nonexistent".into()), &AddressPolicy::operator_named(), soon()).await;
    assert!(matches!(missing, Err(DialError::Connect(_))));
}
