//! `examples/connx`: every tool of both servers answers, over a driver, from tables named and shaped as CONNX names and shapes them.

use std::{path::Path, sync::Arc, time::Duration};

use countersign_sql::{ConnectionString, Dialect, Value};
use countersign_testbed::{Odbc, Postgres};
use countersign_tools::{
    Database, DatabaseLimits, OdbcPool,
    catalog::{Catalog, Query},
};

use crate::odbc_pool::{config, run};

/// Catalog-qualified names need a database of that name: PostgreSQL folds both alike.
const VSAM: &str = "
    CREATE SCHEMA dbo;
    CREATE TABLE dbo.customers_vsam (customerid char(8), customername char(30), customeraddress char(30), customercity char(20),
        customerstate char(2), customerzip char(10), customercountry char(10), customerphone char(16));
    CREATE TABLE dbo.orders_vsam (orderid int, customerid char(8), productid int, orderdate date, productquantity int);
    CREATE TABLE dbo.products_vsam (productid int, productname char(20));
    INSERT INTO dbo.customers_vsam VALUES ('C1', 'Ann', '1 Road', 'Richmond', 'VA', '23219', 'US', '555'),
        ('C2', 'Bob', '2 Road', 'Norfolk', 'VA', '23510', 'US', ''), ('C3', 'Cem', '3 Road', 'Austin', 'TX', '73301', 'US', '777');
    INSERT INTO dbo.products_vsam VALUES (1, 'Lamp'), (2, 'Desk');
    INSERT INTO dbo.orders_vsam VALUES (10, 'C1', 1, '2026-01-02', 3), (11, 'C1', 1, '2026-02-03', 5), (12, 'C1', 2, '2026-02-03', 1);";

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

struct Server {
    _odbc: Odbc,
    pool: Arc<OdbcPool>,
    catalog: Catalog,
    tools: Vec<String>,
}

async fn server(preset: &str, database: &str, schema: &str) -> Server {
    let (cluster, odbc) = (Postgres::shared(), Odbc::new());
    cluster.run("postgres", &format!("CREATE DATABASE {database}"));
    cluster.run(database, schema);
    let login = cluster.superuser();
    let connection =
        ConnectionString::new(odbc.postgres(cluster, login, database)).with("Pwd", &login.password);
    // The preset's dialect: CONNX speaks standard SQL, and so does the catalog.
    let pool = OdbcPool::start(config(&odbc, connection, Dialect::Ansi)).await;
    let pool = Arc::new(pool.map_err(|error| format!("{error:?}")).unwrap());
    let limits =
        DatabaseLimits { rows: 1000, bytes: 1 << 20, time: Duration::from_secs(30), query_chars: 10_000 };
    let databases = [Arc::new(Database::new("connx", Arc::clone(&pool) as _, limits))];
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/connx").join(preset).join("catalog");
    let catalog = Catalog::read(&folder).map_err(|problems| problems.to_string()).unwrap();
    let prepared = catalog.prepare(&databases).await.map_err(|problems| problems.to_string()).unwrap();
    let tools = prepared.tools().iter().map(|tool| tool.tool.spec().name.to_string()).collect();
    Server { _odbc: odbc, pool, catalog, tools }
}

impl Server {
    /// The rows of a query of the catalog. Placeholders are found as words that begin with a colon.
    async fn rows(&self, name: &str, values: &[(&str, &str)]) -> Vec<Vec<Value>> {
        let query = self.catalog.queries.iter().find(|query| query.name.as_ref() == name).unwrap();
        let (sql, params) = bind(query, values);
        let rows = run(&self.pool, &sql, params, 10_000)
            .await
            .map_err(|error| format!("{name}: {error:?}"))
            .unwrap();
        rows.values.chunks(rows.columns.len()).map(<[Value]>::to_vec).collect()
    }
}

fn bind(query: &Query, values: &[(&str, &str)]) -> (String, Vec<Value>) {
    let mut sql = String::new();
    let mut params = Vec::new();
    let mut rest = query.sql.as_str();
    while let Some((before, after)) = rest.split_once(':') {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (placeholder, behind) = after.split_at(end);
        let value = values.iter().find(|(name, _)| *name == placeholder);
        params.push(value.map_or(Value::Null, |(_, value)| Value::Text((*value).to_owned())));
        sql.push_str(before);
        sql.push('?');
        rest = behind;
    }
    sql.push_str(rest);
    (sql, params)
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vsam_server_keeps_its_tools() {
    let server = server("vsam", "daea_mainframe_vsam", VSAM).await;
    for tool in [
        "count_customers",
        "customers_by_state",
        "customer_cities",
        "customers_missing_phone",
        "get_customer",
        "find_customers",
        "describe_entities",
        "count_entities",
        "customer_orders_for_product",
        "domain_datasets",
        "domain_customers",
    ] {
        assert!(server.tools.iter().any(|name| name == tool), "{tool} of {:?}", server.tools);
    }
    assert_eq!(server.rows("count_customers", &[]).await, [[Value::Integer(3)]]);
    assert_eq!(
        server.rows("customers_by_state", &[]).await,
        [[text("VA"), Value::Integer(2)], [text("TX"), Value::Integer(1)]]
    );
    assert_eq!(
        server.rows("customer_cities", &[]).await,
        [[text("Austin")], [text("Norfolk")], [text("Richmond")]]
    );
    assert_eq!(server.rows("customers_missing_phone", &[]).await, [[text("C2"), text("Bob")]]);
    assert_eq!(server.rows("get_customer", &[("customer_id", "C3")]).await[0].len(), 7);
    assert!(server.rows("get_customer", &[("customer_id", "C9")]).await.is_empty());
    assert_eq!(server.rows("find_customers", &[("state", "va")]).await.len(), 2);
    assert_eq!(
        server.rows("find_customers", &[("state", "VA"), ("city", "richmond")]).await[0][1],
        text("Ann")
    );
    let orders =
        server.rows("customer_orders_for_product", &[("customer_id", "C1"), ("product_name", "lamp")]).await;
    assert_eq!(
        orders.iter().map(|row| row[0].clone()).collect::<Vec<_>>(),
        [Value::Integer(11), Value::Integer(10)]
    );
    let states = server.catalog.queries.iter().find(|query| query.name.as_ref() == "find_customers").unwrap();
    let state = states.params.iter().find(|param| param.name == "state").unwrap();
    assert_eq!((state.aliases.len(), state.aliases["virginia"].as_str()), (50, "VA"));
    let aliases: usize = server.catalog.entities.iter().map(|entity| entity.aliases.len()).sum();
    assert_eq!((server.catalog.entities.len(), aliases), (3, 17));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_adabas_server_keeps_its_tools() {
    let server = server("adabas", "daea", ADABAS).await;
    for tool in [
        "describe_server",
        "count_employees",
        "count_vehicles",
        "get_employee",
        "get_vehicles_for_employee",
        "find_employees_by_city",
        "employees_with_vehicles",
        "vehicles_by_department",
        "leased_vehicles_by_department",
        "vehicles_by_country",
        "vehicle_summary_by_make",
        "describe_entities",
        "count_entities",
        "domain_datasets",
        "domain_employees",
        "domain_vehicles",
    ] {
        assert!(server.tools.iter().any(|name| name == tool), "{tool} of {:?}", server.tools);
    }
    assert_eq!(server.rows("count_employees", &[]).await, [[Value::Integer(2)]]);
    assert_eq!(server.rows("count_vehicles", &[]).await, [[Value::Integer(2)]]);
    assert_eq!(server.rows("get_employee", &[("personnel_id", "11100102")]).await[0].len(), 20);
    assert_eq!(server.rows("get_vehicles_for_employee", &[("personnel_id", "11100102")]).await.len(), 2);
    assert_eq!(server.rows("find_employees_by_city", &[("city", "berlin")]).await.len(), 1);
    assert_eq!(server.rows("employees_with_vehicles", &[]).await.len(), 2);
    assert_eq!(server.rows("vehicles_by_department", &[]).await.len(), 1);
    assert_eq!(server.rows("leased_vehicles_by_department", &[]).await[0][1], Value::Integer(1));
    assert_eq!(server.rows("vehicles_by_country", &[]).await[0][1], Value::Integer(2));
    assert_eq!(server.rows("vehicle_summary_by_make", &[]).await.len(), 2);
}
