//! The wall around a process itself: first what it could open without.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    thread,
};

use countersign_sandbox::Confinement;

use crate::{said, spawn};

fn open(path: &Path) -> Result<String, io::ErrorKind> {
    fs::read_to_string(path).map_err(|error| error.kind())
}

#[test]
fn a_confined_process_opens_what_it_was_told_it_needs() {
    assert!(Confinement::is_possible(), "this kernel has no Landlock");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["read", "write", "outside"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("file"), name).unwrap();
    }
    symlink("../outside/file", at("read").join("link")).unwrap();
    let attempts = || {
        let wrote = |name: &str| fs::write(at(name).join("new"), "").map_err(|error| error.kind());
        let read = ["read/file", "read/link", "outside/file", "write/file"].map(|name| open(&at(name)));
        (read, [wrote("read"), wrote("outside"), wrote("write")])
    };
    let text = |text: &str| Ok(text.to_owned());
    let unguarded = [text("read"), text("outside"), text("outside"), text("write")];
    assert_eq!(attempts(), (unguarded.clone(), [Ok(()); 3]), "without the wall");
    // A thread of its own, as a process has one: this one goes on as it was.
    thread::scope(|scope| {
        let confined = scope.spawn(|| {
            let reach = Confinement {
                read: vec![
                    at("read"),
                    at("none"),
                    "/proc".into(),
                    "/usr".into(),
                    "/lib".into(),
                    "/lib64".into(),
                ],
                write: vec![at("write")],
                network: true,
            };
            assert!(reach.enter().unwrap());
            assert!(TcpListener::bind("127.0.0.1:0").is_ok());
            let denied = || Err(io::ErrorKind::PermissionDenied);
            let expected = [text("read"), denied(), denied(), text("write")];
            let refused = Err(io::ErrorKind::PermissionDenied);
            assert_eq!(attempts(), (expected.clone(), [refused, refused, Ok(())]), "with it");
            // Threads that come after it are behind it as well.
            thread::scope(|scope| assert_eq!(scope.spawn(attempts).join().unwrap().0, expected));
            fs::rename(at("write/file"), at("write/moved")).unwrap();
            fs::remove_file(at("write/moved")).unwrap();
            // Programs have walls of their own.
            assert_eq!(said(spawn(&format!("read:{}", at("outside/file").display()))), "outside");
        });
        confined.join().unwrap();
    });
    assert_eq!(open(&at("outside/file")).unwrap(), "outside");
}

#[test]
fn a_process_that_needs_nothing_has_no_file_and_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    assert!(
        TcpStream::connect(there).is_ok() && open(Path::new("/etc/hostname")).is_ok(),
        "without the wall"
    );
    let confined = thread::spawn(move || {
        assert!(Confinement::default().enter().unwrap());
        let dialled = TcpStream::connect(there).map(drop).map_err(|error| error.kind());
        (open(Path::new("/etc/hostname")), dialled)
    });
    let denied = io::ErrorKind::PermissionDenied;
    assert_eq!(confined.join().unwrap(), (Err(denied), Err(denied)));
}
