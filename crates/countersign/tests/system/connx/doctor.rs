//! What `doctor` says of an ODBC source: which one, and whether it answers or why not, in words that hold nothing of the connection string.

use serde_json::Value;

use super::{SOURCE, VSAM, site::Site};

/// Grade, finding and help of each line on databases.
fn lines(site: &Site, more: &[(&str, &str)]) -> Vec<[String; 3]> {
    let output = site.binary(&["doctor", "--json"], more).output().unwrap();
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let databases = checks.iter().filter(|check| check["about"] == "database");
    databases.map(|check| ["grade", "found", "help"].map(|key| text(check, key))).collect()
}

#[test]
fn an_odbc_source_is_named_and_answers_or_not() {
    let site = Site::new("vsam", "daea_mainframe_vsam", VSAM);
    assert!(site.configure("CONNX_PASS=x\n", &SOURCE).status.success());
    let sound = lines(&site, &[]);
    assert_eq!(
        sound.iter().map(|[grade, found, _]| format!("{grade}: {found}")).collect::<Vec<_>>(),
        [
            "good: connx: the data source `MAINFRAME` answers over ODBC (ansi SQL)",
            "warning: connx: ODBC does not tell what a login may do"
        ]
    );
    let bad = |more: &[(&str, &str)], found: &str, help: &str| {
        let lines = lines(&site, more);
        let [[grade, says, advises]] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((grade.as_str(), says.as_str()), ("bad", found));
        assert!(advises.contains(help), "{advises}");
        assert!(!format!("{says}{advises}").contains("wrong-horse"), "{says}{advises}");
    };
    bad(
        &[("ODBCINI", "/nonexistent/odbc.ini"), ("ODBCSYSINI", "/nonexistent")],
        "connx: the data source `MAINFRAME` cannot be used over ODBC: the driver or data source cannot be loaded (SQLSTATE IM002)",
        "odbcinst -q -s",
    );
    let unreached = "connx: the data source `MAINFRAME` cannot be used over ODBC: the source cannot be reached (SQLSTATE 08001)";
    bad(&[("CONNX_PASS", "wrong-horse-battery")], unreached, "user and password");
    site.cluster.stop();
    bad(&[], unreached, "server behind it running");
}
