//! Answers of workers that are too long, or none.

use super::*;

/// What a master makes of a worker's answer.
async fn answered(answer: Vec<u8>) -> Option<String> {
    let (ours, theirs) = StdStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let worker = std::thread::spawn(move || {
        let mut theirs = theirs;
        theirs.read_to_end(&mut Vec::new()).unwrap();
        // Of a long answer nobody reads the end.
        let _ = theirs.write_all(&answer);
    });
    let text = exchange(UnixStream::from_std(ours).unwrap(), "<p>page").await.unwrap();
    worker.join().unwrap();
    text
}

#[tokio::test]
async fn a_text_is_whole_or_there_is_none() {
    let text = |length: u64| [vec![CONVERTED], vec![b'x'; usize::try_from(length).unwrap()]].concat();
    assert_eq!(answered(text(3)).await.as_deref(), Some("xxx"));
    assert!(answered(text(MAX_TEXT - 1)).await.is_some());
    assert_eq!(answered(text(MAX_TEXT)).await, None);
    assert_eq!(answered(vec![CONVERTED, 0xff]).await, None);
    assert_eq!(answered(Vec::new()).await, None);
}
