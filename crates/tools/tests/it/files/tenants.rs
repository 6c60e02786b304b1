//! Roots of tenants, and resources.

use std::fs;

use countersign_core::{Denied, Target};
use countersign_tools::files::FolderSettings;
use serde_json::{Value, json};

use super::world::{World, folder, settings};

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    for name in ["acme", "globex", "shared"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("plan.txt"), format!("of {name}")).unwrap();
    }
    let of = |name: &str| FolderSettings { tenant: Some(name.into()), ..settings() };
    let path = dir.path().to_owned();
    let folders = [
        folder("acme", &path.join("acme"), of("acme")),
        folder("globex", &path.join("globex"), of("globex")),
        folder("shared", &path.join("shared"), FolderSettings { write: false, ..settings() }),
    ];
    World::of(dir, &folders)
}

async fn call(world: &World, tenant: &str, tool: &str, arguments: Value) -> Result<Value, String> {
    world.call_as(tenant, Target::Tool(tool.into()), arguments).await.map_err(|refused| refused.message)
}

#[tokio::test]
async fn another_tenants_root_is_as_unknown_as_one_that_does_not_exist() {
    let world = world();
    let read = |root: &str| json!({"root": root, "path": "plan.txt"});
    assert_eq!(call(&world, "acme", "read_file", read("acme")).await.unwrap()["content"], "of acme");
    assert_eq!(call(&world, "acme", "read_file", read("shared")).await.unwrap()["content"], "of shared");
    let unknown = call(&world, "acme", "read_file", read("nothing")).await.unwrap_err();
    assert_eq!(call(&world, "acme", "read_file", read("globex")).await, Err(unknown.clone()));
    for tool in ["list_directory", "stat_file", "search_files", "delete_file"] {
        let arguments = match tool {
            "list_directory" | "search_files" => json!({"root": "globex"}),
            _ => read("globex"),
        };
        assert_eq!(call(&world, "acme", tool, arguments).await, Err(unknown.clone()), "{tool}");
    }
    let write = json!({"root": "globex", "path": "x", "content": "y"});
    assert_eq!(call(&world, "acme", "write_file", write).await, Err(unknown));
    assert!(!world.dir.path().join("globex/x").exists());
}

#[tokio::test]
async fn roots_are_listed_for_their_tenant_and_as_far_as_policy_shows_them() {
    let world = world();
    let names = async |tenant: &str| {
        let listed = call(&world, tenant, "list_directory", json!({})).await.unwrap();
        let roots = listed["roots"].as_array().unwrap().clone();
        roots.iter().map(|root| root["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("acme").await, ["acme", "shared"]);
    assert_eq!(names("globex").await, ["globex", "shared"]);
    world.rules.deny.lock().unwrap().push("shared");
    assert_eq!(names("acme").await, ["acme"]);
}

#[tokio::test]
async fn resources_show_the_same_and_only_to_their_tenant() {
    let world = world();
    let read = async |tenant: &str, uri: &str| {
        world.call_as(tenant, Target::Resource(uri.into()), json!({})).await.map_err(|refused| refused.denied)
    };
    assert_eq!(read("acme", "file://acme/plan.txt").await.unwrap()["content"], "of acme");
    assert_eq!(read("acme", "file://shared/").await.unwrap()["entries"][0]["name"], "plan.txt");
    assert_eq!(read("acme", "file://globex/plan.txt").await, Err(Denied::UnknownTool));
    assert_eq!(read("acme", "file://globex/").await, Err(Denied::UnknownTool));
    for uri in ["file://shared/%2e%2e/acme/plan.txt", "file://shared/../acme/plan.txt"] {
        assert!(matches!(read("acme", uri).await, Err(Denied::Invalid { .. })), "{uri}");
    }
    assert_eq!(read("acme", "file://shared/..%2facme%2fplan.txt").await, Err(Denied::UnknownTool));
}

#[tokio::test]
async fn a_root_for_reading_is_not_written() {
    let world = world();
    for (tool, arguments) in [
        ("write_file", json!({"root": "shared", "path": "x", "content": "y"})),
        ("edit_file", json!({"root": "shared", "path": "plan.txt", "edits": [{"old": "of", "new": "by"}]})),
        ("delete_file", json!({"root": "shared", "path": "plan.txt"})),
        ("move_file", json!({"root": "shared", "from": "plan.txt", "to": "x"})),
    ] {
        let refused = call(&world, "acme", tool, arguments).await.unwrap_err();
        assert!(refused.contains("reading only"), "{tool}: {refused}");
    }
    assert_eq!(fs::read_to_string(world.dir.path().join("shared/plan.txt")).unwrap(), "of shared");
}
