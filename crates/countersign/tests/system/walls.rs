//! Machines that lack a wall of the sandbox: what `doctor` says there, and which tools are offered. The kernel is real, and refuses the
//! calls that make up the wall.

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::world::*;

const WITHOUT: &str = include_str!("walls.py");
const PROGRAMS: &str =
    "[python]\n[commands.list]\nprogram = \"/usr/bin/env\"\ndescription = \"Shows the environment\"\n";
const POLICY: &str = r#"
@id("tests-call-python")
permit (principal in Role::"operator", action in Action::"call", resource) when { resource.name == "run_python" };
@id("tests-run-python")
permit (principal in Role::"operator", action == Action::"execute", resource == Interpreter::"python");
"#;

fn world() -> World {
    let world = World::new(Shape { extra: PROGRAMS.into(), ..Shape::default() });
    std::fs::write(world.dir.path().join("policies/python.cedar"), POLICY).unwrap();
    world
}

/// The binary on a kernel without a wall.
fn without(world: &World, wall: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-I", "-B", "-c", WITHOUT, wall, BINARY]);
    command.args(arguments).arg("--config").arg(world.config());
    command
}

fn doctor(world: &World, wall: &str) -> (Output, String) {
    let output = without(world, wall, &["doctor"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

/// What a server on such a machine offers.
fn listed(world: &World, wall: &str) -> String {
    let mut server =
        without(world, wall, &["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ready = (0..1200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        world.is_ready()
    });
    let listed = ready.then(|| world.client(&world.ann).modern("tools/list", json!({})).json().to_string());
    let _ = server.kill();
    let _ = server.wait();
    listed.expect("the server becomes ready")
}

#[test]
fn with_every_wall_the_grade_is_full() {
    let world = world();
    let said = String::from_utf8_lossy(&world.try_command(&["doctor"]).stdout).into_owned();
    assert!(said.contains("grade full: namespaces, Landlock and the system call filter"), "{said}");
}

#[test]
fn without_namespaces_doctor_says_reduced_and_so_does_the_tool() {
    let world = world();
    let (_, said) = doctor(&world, "namespaces");
    assert!(said.contains("grade reduced: Landlock and the system call filter"), "{said}");
    assert!(said.contains("its namespaces: "), "the reason is told: {said}");
    let listed = listed(&world, "namespaces");
    assert!(listed.contains("sandbox (grade: reduced)"), "{listed}");
}

#[test]
fn without_landlock_doctor_says_reduced_and_so_does_the_tool() {
    let world = world();
    let (_, said) = doctor(&world, "landlock");
    assert!(said.contains("grade reduced: namespaces and the system call filter"), "{said}");
    assert!(said.contains("Landlock, which this kernel lacks"), "the reason is told: {said}");
    let listed = listed(&world, "landlock");
    assert!(listed.contains("sandbox (grade: reduced)"), "{listed}");
}

#[test]
fn without_the_system_call_filter_doctor_fails_and_there_are_no_tools() {
    let world = world();
    let (output, said) = doctor(&world, "filter");
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("programs cannot be contained here"), "{said}");
    assert!(said.contains("the system call filter"), "the reason is told: {said}");
    let listed = listed(&world, "filter");
    assert!(listed.contains("query_shop"), "everything else is served: {listed}");
    assert!(!listed.contains("run_python") && !listed.contains("run_command"), "{listed}");
}
