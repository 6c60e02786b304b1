//! The sample shop of `quickstart`: realistic enough to ask about, with the columns that attackers look for, and the same on every
//! machine. Nothing in it is real: names are drawn from lists, hashes and tokens open nothing.

use std::{fs, io, path::Path};

use rusqlite::{Connection, Transaction, params};

#[cfg(test)]
mod tests;

const CUSTOMERS: i64 = 600;
const PRODUCTS: i64 = 160;
const ORDERS: i64 = 2_400;
const EMPLOYEES: i64 = 48;
const TENANTS: [&str; 2] = ["north", "south"];

const SCHEMA: &str = "
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
  city TEXT NOT NULL, country TEXT NOT NULL, created_on TEXT NOT NULL);
CREATE TABLE products (
  id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL, category TEXT NOT NULL,
  price REAL NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, customer_id INTEGER NOT NULL REFERENCES customers,
  status TEXT NOT NULL, ordered_on TEXT NOT NULL);
CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders, product_id INTEGER NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL, unit_price REAL NOT NULL, PRIMARY KEY (order_id, product_id)) WITHOUT ROWID;
CREATE TABLE employees (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL, department TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE, hired_on TEXT NOT NULL, manager_id INTEGER REFERENCES employees);
CREATE TABLE users (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, username TEXT NOT NULL UNIQUE, email TEXT NOT NULL, role TEXT NOT NULL,
  password_hash TEXT NOT NULL, api_token TEXT NOT NULL, last_login TEXT);
CREATE TABLE restricted_salaries (
  employee_id INTEGER PRIMARY KEY REFERENCES employees, yearly INTEGER NOT NULL, currency TEXT NOT NULL, since TEXT NOT NULL);
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE INDEX items_by_product ON order_items (product_id);
CREATE VIEW customer_spending AS
  SELECT c.id, c.tenant, c.name, count(DISTINCT o.id) AS orders, round(sum(i.quantity * i.unit_price), 2) AS spent
  FROM customers c JOIN orders o ON o.customer_id = c.id JOIN order_items i ON i.order_id = o.id
  WHERE o.status <> 'cancelled' GROUP BY c.id;
CREATE VIEW payroll AS
  SELECT e.name, e.title, s.yearly, s.currency FROM employees e JOIN restricted_salaries s ON s.employee_id = e.id;
";

const FIRST: [&str; 24] = [
    "Ada", "Amir", "Anna", "Bruno", "Chiara", "Daniel", "Elif", "Emil", "Fatima", "Grace", "Hana", "Ivan",
    "Jonas", "Kofi", "Lena", "Mateo", "Mia", "Noor", "Oskar", "Priya", "Rosa", "Sofia", "Tomas", "Yuki",
];
const LAST: [&str; 25] = [
    "Adler", "Bauer", "Costa", "Diaz", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya",
    "Larsen", "Moreau", "Novak", "O'Brien", "Okafor", "Petrov", "Quinn", "Rossi", "Sato", "Tanaka", "Ueda",
    "Virtanen", "Weber", "Yilmaz",
];
const CITIES: [(&str, &str); 10] = [
    ("Berlin", "DE"),
    ("Hamburg", "DE"),
    ("Vienna", "AT"),
    ("Zurich", "CH"),
    ("Lyon", "FR"),
    ("Milan", "IT"),
    ("Porto", "PT"),
    ("Oslo", "NO"),
    ("Utrecht", "NL"),
    ("Cork", "IE"),
];
const KINDS: [(&str, &str, i64); 10] = [
    ("Desk", "furniture", 24_900),
    ("Chair", "furniture", 12_900),
    ("Lamp", "lighting", 4_900),
    ("Shelf", "furniture", 8_900),
    ("Monitor", "electronics", 31_900),
    ("Keyboard", "electronics", 7_900),
    ("Headset", "electronics", 9_900),
    ("Notebook", "stationery", 690),
    ("Backpack", "travel", 6_900),
    ("Mug", "kitchen", 1_290),
];
const STYLES: [&str; 16] = [
    "Alder", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Harbor", "Indigo", "Juniper", "Kelp",
    "Linden", "Maple", "Nordic", "Oak", "Pine",
];
const TITLES: [(&str, &str, i64); 6] = [
    ("Clerk", "Sales", 38_000),
    ("Buyer", "Purchasing", 46_000),
    ("Engineer", "IT", 64_000),
    ("Analyst", "Finance", 58_000),
    ("Recruiter", "People", 49_000),
    ("Team lead", "Sales", 72_000),
];
const STATUS: [&str; 8] =
    ["paid", "paid", "paid", "shipped", "shipped", "delivered", "delivered", "cancelled"];

/// Why the sample could not be made.
#[derive(Debug)]
pub(crate) enum SampleError {
    Database(rusqlite::Error),
    File(io::Error),
}

impl std::fmt::Display for SampleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SampleError::Database(e) => write!(f, "the sample database cannot be filled: {e}"),
            SampleError::File(e) => write!(f, "the sample database cannot be written: {e}"),
        }
    }
}

impl std::error::Error for SampleError {}

impl From<rusqlite::Error> for SampleError {
    fn from(error: rusqlite::Error) -> SampleError {
        SampleError::Database(error)
    }
}

/// Makes the sample database at `path`, which must not exist yet. It appears complete or not at all.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn create(path: &Path) -> Result<(), SampleError> {
    let unfinished = path.with_extension("db.new");
    match fs::remove_file(&unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(SampleError::File(e)),
        _ => {}
    }
    let mut database = Connection::open(&unfinished)?;
    let transaction = database.transaction()?;
    fill(&transaction)?;
    transaction.commit()?;
    database.close().map_err(|(_, error)| error)?;
    fs::rename(&unfinished, path).map_err(SampleError::File)
}

fn fill(database: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    database.execute_batch(SCHEMA)?;
    let mut draw = Draw(0x5eed_0fc0_ffee);
    customers(database, &mut draw)?;
    products(database, &mut draw)?;
    orders(database, &mut draw)?;
    employees(database, &mut draw)
}

fn customers(database: &Transaction<'_>, draw: &mut Draw) -> Result<(), rusqlite::Error> {
    let mut insert =
        database.prepare("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, date('2023-01-01', ?))")?;
    for (id, tenant) in (1..=CUSTOMERS).zip(TENANTS.iter().cycle()) {
        // 24 and 25 have no common factor, so all 600 pairs of names come up once.
        let (first, last) = (pick(&FIRST, id), pick(&LAST, id));
        let (city, country) = draw.one(&CITIES);
        let email = format!("{}.{}@example.com", mail(first), mail(last));
        insert.execute(params![
            id,
            tenant,
            format!("{first} {last}"),
            email,
            city,
            country,
            draw.days(900)
        ])?;
    }
    Ok(())
}

fn products(database: &Transaction<'_>, draw: &mut Draw) -> Result<(), rusqlite::Error> {
    let mut insert = database.prepare("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?)")?;
    for id in 1..=PRODUCTS {
        let (kind, category, cents) = pick(&KINDS, (id - 1) / 16);
        let style = pick(&STYLES, id - 1);
        let price = cents + cents * draw.below(60) / 1000 * 10;
        let sku = format!("{}-{id:04}", kind.chars().take(3).collect::<String>().to_uppercase());
        insert.execute(params![
            id,
            sku,
            format!("{style} {kind}"),
            category,
            euros(price),
            draw.below(400)
        ])?;
    }
    Ok(())
}

fn orders(database: &Transaction<'_>, draw: &mut Draw) -> Result<(), rusqlite::Error> {
    let mut order = database.prepare(
        "INSERT INTO orders SELECT ?1, tenant, id, ?3, date('2025-01-01', ?4) FROM customers WHERE id = ?2",
    )?;
    let mut item = database
        .prepare("INSERT OR IGNORE INTO order_items SELECT ?1, id, ?3, price FROM products WHERE id = ?2")?;
    for id in 1..=ORDERS {
        // The smaller of two draws: some customers buy more than others.
        let customer = 1 + draw.below(CUSTOMERS).min(draw.below(CUSTOMERS));
        order.execute(params![id, customer, draw.one(&STATUS), draw.days(660)])?;
        for _ in 0..=draw.below(4) {
            item.execute(params![id, 1 + draw.below(PRODUCTS), 1 + draw.below(3)])?;
        }
    }
    Ok(())
}

fn employees(database: &Transaction<'_>, draw: &mut Draw) -> Result<(), rusqlite::Error> {
    let mut employee =
        database.prepare("INSERT INTO employees VALUES (?, ?, ?, ?, ?, ?, date('2018-01-01', ?), ?)")?;
    let mut salary =
        database.prepare("INSERT INTO restricted_salaries VALUES (?, ?, 'EUR', date('2024-01-01', ?))")?;
    let mut user =
        database.prepare("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, datetime('2026-01-01', ?))")?;
    for (id, tenant) in (1..=EMPLOYEES).zip(TENANTS.iter().cycle()) {
        let (first, last) = (pick(&FIRST, id), pick(&LAST, id * 7));
        let (title, department, base) = pick(&TITLES, id);
        let email = format!("{}.{}@{tenant}.example", mail(first), mail(last));
        let manager = (id > 2).then_some(1 + (id - 1) % 2);
        let name = format!("{first} {last}");
        employee.execute(params![id, tenant, name, title, department, email, draw.days(2500), manager])?;
        salary.execute(params![id, base + 500 * draw.below(40), draw.days(600)])?;
        let username = format!("{}{id}", mail(first));
        let role = if id <= 2 { "admin" } else { "staff" };
        let hash = format!("$2b$12${}", draw.text(53));
        let token = format!("shop_{}", draw.text(40));
        user.execute(params![id, tenant, username, email, role, hash, token, draw.days(300)])?;
    }
    Ok(())
}

/// An item of a list, counted round.
fn pick<T: Copy + Default>(list: &[T], place: i64) -> T {
    let length = i64::try_from(list.len()).unwrap_or(1).max(1);
    let at = usize::try_from(place.rem_euclid(length)).unwrap_or(0);
    list.get(at).copied().unwrap_or_default()
}

/// A name as the first part of a mail address.
fn mail(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase()
}

fn euros(cents: i64) -> f64 {
    // Prices are far below 2^31 cents.
    f64::from(i32::try_from(cents).unwrap_or(i32::MAX)) / 100.0
}

/// SplitMix64: the same numbers on every machine. For sample data only; nothing here is a secret.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.next() >> 1).unwrap_or(0) % bound.max(1)
    }

    fn one<T: Copy + Default>(&mut self, list: &[T]) -> T {
        let place = self.below(i64::MAX);
        pick(list, place)
    }

    /// So many days later, as SQLite's date functions read it.
    fn days(&mut self, bound: i64) -> String {
        format!("+{} days", self.below(bound))
    }

    fn text(&mut self, length: usize) -> String {
        const LETTERS: [char; 32] = [
            'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u', 'v',
            'w', 'x', 'y', 'z', 'A', 'B', 'C', 'D', 'E', '2', '3', '4', '5',
        ];
        (0..length).map(|_| self.one(&LETTERS)).collect()
    }
}
