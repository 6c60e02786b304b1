//! The load client against the bare server: it counts right answers, and a wrong one does not pass for right.

use std::net::TcpListener;
use std::time::Duration;

use super::client::{self, Load, Outcome, Template};
use super::question::{ID, Question, TEXT};
use crate::e2e::http::Era;

const TIME: Duration = Duration::from_millis(300);

/// Loads a bare server that answers with `body`.
fn load(body: String, era: Era) -> Outcome {
    let head = vec![("content-type".to_owned(), "application/json".to_owned())];
    let template = Template { head, body }.to_json();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || super::bare::serve(listener, &template));
    client::run(&Load { address: &address, question: &Question::echo(era, None), callers: 4 }, TIME).unwrap()
}

fn body(id: &str, text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
}

#[test]
fn counts_right_answers() {
    for era in [Era::Stateless, Era::Session] {
        let outcome = load(body(ID, TEXT), era);
        assert_eq!(outcome.errors, 0, "{:?}", outcome.failures);
        assert!(outcome.nanoseconds.len() > 100);
    }
}

#[test]
fn an_answer_to_another_call_is_an_error() {
    let outcome = load(body("7", TEXT), Era::Stateless);
    assert!(outcome.nanoseconds.is_empty());
    assert!(outcome.failures.iter().all(|failure| failure.contains("not the answer to call")));
}

#[test]
fn another_calls_text_is_an_error() {
    let outcome = load(body(ID, "mark-000000001-end"), Era::Stateless);
    assert!(outcome.nanoseconds.is_empty());
    assert_eq!(outcome.errors, 4);
}

#[test]
fn an_error_result_is_an_error() {
    let wrong = format!(
        r#"{{"jsonrpc":"2.0","id":{ID},"result":{{"isError":true,"content":[{{"type":"text","text":"{TEXT}"}}]}}}}"#
    );
    assert!(load(wrong, Era::Stateless).nanoseconds.is_empty());
}
