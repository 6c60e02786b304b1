//! The move from `connx-adabas-server`.

use serde_json::{Value, json};

use super::site::{Connx, Site};

const ADABAS: &str = "
    CREATE SCHEMA dbo;
    CREATE TABLE dbo.employees (personnel_id char(8), isn_employees int, first_name char(20), name char(20), middle_name char(20),
        mar_stat char(1), sex char(1), birth date, city char(20), post_code char(10), country char(3), area_code char(6), phone char(15),
        dept char(6), job_title char(25), leave_due int, leave_taken int, leave_left int, department char(4), dept_person char(30));
    CREATE TABLE dbo.vehicles (isn_vehicles int, reg_num char(15), chassis_num int, personnel_id char(8), make char(20), model char(20),
        colour char(10), year int, class char(1), lease_pur char(8), date_acq date, curr_code char(3), model_year_make char(30));
    INSERT INTO dbo.employees (personnel_id, isn_employees, first_name, name, city, country, department)
        VALUES ('11100102', 1, 'EDGAR', 'SCHINDLER', 'FRANKFURT', 'D', 'SALE'), ('11100105', 2, 'ANN', 'ARP', 'BERLIN', 'D', 'COMP');
    INSERT INTO dbo.vehicles (isn_vehicles, reg_num, personnel_id, make, model, colour, lease_pur)
        VALUES (1, 'F-AB 1', '11100102', 'FORD', 'ESCORT', 'RED', 'LEASE'), (2, 'F-AB 2', '11100102', 'VW', 'GOLF', 'BLUE', 'PUR');";

fn open() -> (Site, Connx) {
    let site = Site::new("adabas", "daea", ADABAS);
    let output = site.configure(
        "",
        &[
            ("CONNX_DSN_ADABAS", "MAINFRAME"),
            ("CONNX_USER", "connx"),
            ("CONNX_PASS", "correct-horse-battery"),
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let client = site.open(&[]);
    (site, client)
}

/// A text of the source without the blanks that fill its width.
fn trimmed(value: &Value) -> &str {
    value.as_str().unwrap().trim_end()
}

#[test]
fn every_tool_answers_as_the_sample_did() {
    let (site, mut client) = open();
    let missing = site.configure("", &[("CONNX_USER", "connx")]);
    let missing = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.trim(), "Missing required config values: CONNX_DSN_ADABAS, CONNX_PASS");
    assert_eq!(
        client.tools(),
        [
            "count_employees",
            "count_entities",
            "count_vehicles",
            "describe_entities",
            "describe_server",
            "describe_table",
            "domain_datasets",
            "domain_employees",
            "domain_vehicles",
            "employees_with_vehicles",
            "find_employees_by_city",
            "get_employee",
            "get_vehicles_for_employee",
            "leased_vehicles_by_department",
            "list_catalog",
            "list_tables",
            "query_connx",
            "run_catalog_query",
            "vehicle_summary_by_make",
            "vehicles_by_country",
            "vehicles_by_department",
        ]
    );
    assert_eq!(client.answer("count_employees", json!({})), json!({"total_employees": 2}));
    assert_eq!(client.answer("count_vehicles", json!({})), json!({"total_vehicles": 2}));
    let server = client.answer("describe_server", json!({}));
    assert_eq!((&server["server"], &server["mode"]), (&json!("connx-adabas-server"), &json!("read-only")));
    // It names nothing that is not there.
    let tools = client.tools();
    for capability in server["available_capabilities"].as_array().unwrap() {
        assert!(tools.iter().any(|tool| capability == tool), "{capability}");
    }
    let employee = client.answer("get_employee", json!({"personnel_id": "11100102"}))["employee"].clone();
    assert_eq!((employee.as_object().unwrap().len(), trimmed(&employee["name"])), (20, "SCHINDLER"));
    let nobody = client.answer("get_employee", json!({"personnel_id": "9"}));
    assert_eq!(nobody, json!({"employee": null}));
    let owned = client.answer("get_vehicles_for_employee", json!({"personnel_id": "11100102"}));
    assert_eq!((&owned["personnel_id"], &owned["count"]), (&json!("11100102"), &json!(2)), "{owned}");
    let cut = client.answer("get_vehicles_for_employee", json!({"personnel_id": "11100102", "max_rows": 1}));
    assert_eq!((&cut["count"], &cut["truncated"]), (&json!(1), &json!(true)), "{cut}");
    let found = client.answer("find_employees_by_city", json!({"city": "berlin"}));
    assert_eq!((trimmed(&found["results"][0]["name"]), &found["count"]), ("ARP", &json!(1)), "{found}");
    assert_eq!(client.answer("employees_with_vehicles", json!({}))["count"], 2);
    for (tool, key, count, first) in [
        ("vehicles_by_department", "departments", "vehicle_count", json!(2)),
        ("leased_vehicles_by_department", "departments", "leased_vehicle_count", json!(1)),
        ("vehicles_by_country", "countries", "vehicle_count", json!(2)),
        ("vehicle_summary_by_make", "makes", "vehicle_count", json!(1)),
    ] {
        assert_eq!(client.answer(tool, json!({}))[key][0][count], first, "{tool}");
    }
    let query = "SELECT COUNT(*) AS N FROM DAEA.dbo.VEHICLES";
    assert_eq!(client.answer("query_connx", json!({"query": query}))["rows"], json!([[2]]));
}

#[test]
fn entities_and_resources_keep_their_names() {
    let (_site, mut client) = open();
    for (entity, table, aliases) in [
        ("employees", "DAEA.dbo.EMPLOYEES", &["employee", "employees", "personnel", "staff", "workers"][..]),
        ("vehicles", "DAEA.dbo.VEHICLES", &["vehicle", "vehicles", "cars", "fleet", "auto", "autos"]),
    ] {
        for alias in aliases {
            let counted = client.answer("count_entities", json!({"entity": alias}));
            assert_eq!(counted, json!({"entity": entity, "table": table, "total": 2}), "{alias}");
        }
    }
    let (uris, templates) = client.uris();
    assert_eq!(
        uris,
        [
            "domain://datasets",
            "schema://connx",
            "schema://domain/employees",
            "schema://domain/vehicles",
            "schema://schema",
            "semantic://entities"
        ]
    );
    assert_eq!(templates, ["schema://connx/{table}", "schema://schema/{table}"]);
    let described = client.answer("describe_entities", json!({}));
    assert_eq!(client.read("semantic://entities"), described);
    assert_eq!(client.read("domain://datasets")["datasets"][1]["join_key"], "PERSONNEL_ID");
    assert_eq!(client.read("schema://domain/employees"), client.answer("domain_employees", json!({})));
    assert_eq!(client.read("schema://domain/vehicles")["entity"], "vehicles");
    assert_eq!(client.read("schema://schema/daea.dbo.vehicles")["columns"].as_array().unwrap().len(), 13);
}
