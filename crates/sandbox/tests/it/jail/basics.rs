//! What a well-behaved program gets: input, output, files, status.

use std::time::Duration;

use countersign_sandbox::{Bind, Collect, InputFile, Jail, JailError, Status, View};

use super::{PYTHON, python, run, stderr, stdout};

#[test]
fn a_program_reads_its_input_and_answers() {
    let mut jail =
        python("import sys; print(sys.stdin.read().upper()); print('err', file=sys.stderr); sys.exit(3)");
    jail.stdin = b"hello".to_vec();
    let finished = run(jail).unwrap();
    assert_eq!(
        (finished.status, stdout(&finished), stderr(&finished)),
        (Status::Exit(3), "HELLO".into(), "err".into())
    );
    assert!(
        !finished.stdout.truncated()
            && finished.usage.wall > Duration::ZERO
            && finished.usage.cpu > Duration::ZERO
    );
}

#[test]
fn files_go_in_and_come_out() {
    let mut jail = python(
        "import os\ntext = open('in.txt').read()\nopen('out.txt', 'w').write(text * 2)\n\
         os.mkdir('dir'); open('dir/deep', 'w').write('x' * 5000)\nopen('changed', 'a').write('!')\n\
         os.symlink('/etc/passwd', 'link'); os.mkdir('dir/empty'); open('zz', 'w').write('last')\nprint(os.getcwd(), os.environ['HOME'])",
    );
    let input = |name: &str, text: &str| InputFile { name: name.into(), bytes: text.into() };
    jail.inputs = vec![input("in.txt", "ab"), input("changed", "was")];
    jail.collect = Collect { files: 3, file_size: 1000, total: 10_000 };
    let finished = run(jail).unwrap();
    assert_eq!((finished.status, stderr(&finished)), (Status::Exit(0), String::new()));
    assert_eq!(stdout(&finished), "/scratch /scratch");
    let files: Vec<_> =
        finished.files.iter().map(|file| (file.name.as_str(), file.size, file.bytes.as_deref())).collect();
    assert_eq!(
        files,
        [
            ("changed", 4, Some(b"was!".as_slice())),
            ("dir/deep", 5000, None),
            ("out.txt", 4, Some(b"abab".as_slice()))
        ]
    );
    assert_eq!(finished.files_left_out, 1);
}

#[test]
fn a_view_shows_a_folder_under_another_name_and_writes_only_where_it_may() {
    let host = tempfile::tempdir().unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::write(host.path().join("given"), "given").unwrap();
    std::fs::set_permissions(host.path(), everybody).unwrap();
    let bind = |jail: &str| Bind { host: host.path().into(), jail: jail.into() };
    let mut jail = python(
        "print(open('/data/given').read())\ntry: open('/data/x', 'w')\nexcept OSError as e: print(e.errno)\n\
         open('/out/made', 'w').write('made')",
    );
    jail.view.read_only.push(bind("/data"));
    jail.view.read_write.push(bind("/out"));
    let finished = run(jail).unwrap();
    assert_eq!((stdout(&finished), stderr(&finished)), ("given\n30".into(), String::new()));
    assert_eq!(std::fs::read_to_string(host.path().join("made")).unwrap(), "made");
}

#[test]
fn threads_work_and_processes_do_not_unless_allowed() {
    let threads = "import threading\nts = [threading.Thread(target=print, args=(n,)) for n in range(4)]\n\
                   [t.start() for t in ts]; [t.join() for t in ts]";
    let finished = run(python(threads)).unwrap();
    assert_eq!((stdout(&finished).lines().count(), stderr(&finished)), (4, String::new()));
    let child = "import subprocess; print(subprocess.run(['/usr/bin/echo', 'child'], capture_output=True, text=True).stdout)";
    assert!(stderr(&run(python(child)).unwrap()).contains("Operation not permitted"));
    let mut allowed = python(child);
    allowed.limits.processes = 8;
    allowed.view.execute = vec!["/usr/bin".into()];
    let finished = run(allowed).unwrap();
    assert_eq!((stdout(&finished), stderr(&finished)), ("child".into(), String::new()));
}

#[test]
fn what_cannot_be_started_or_shown_is_an_error_that_names_it() {
    let mut missing = Jail::new("/usr/bin/no-such-program");
    missing.view = View::system();
    assert_eq!(
        run(missing).unwrap_err().to_string(),
        "`/usr/bin/no-such-program` cannot be started in the jail"
    );
    let mut missing = python("");
    missing.view.read_only.push(Bind::same("/no/such/folder"));
    assert_eq!(
        run(missing).unwrap_err().to_string(),
        "`/no/such/folder` cannot be shown to a jailed program"
    );
    let text = Jail { view: View::system(), ..Jail::new("/usr/share/dict/../dict") };
    assert!(matches!(run(text).unwrap_err(), JailError::Invalid { .. }));
    assert!(std::path::Path::new(PYTHON).exists());
}

#[test]
fn dying_by_a_signal_is_told() {
    let finished = run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")).unwrap();
    assert_eq!(finished.status, Status::Signal(11));
    let finished = run(python("import os; os.abort()")).unwrap();
    assert_eq!(finished.status, Status::Signal(6));
}

#[test]
fn a_program_is_nobody_and_can_gain_nothing() {
    let finished = run(python("print(open('/proc/self/status').read())")).unwrap();
    let status = stdout(&finished);
    let line = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{status}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let nobody = "65534 65534 65534 65534";
    assert_eq!((line("Uid:").as_str(), line("Gid:").as_str()), (nobody, nobody));
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!(
        (line("NoNewPrivs:"), line("Seccomp:"), line("Seccomp_filters:")),
        ("1".into(), "2".into(), "2".into())
    );
}
