//! `examples/connx` as its README says, through the real binary and a real driver: the move from the sample servers, all their tools, resources,
//! names and variables, and what they let through.

mod adabas;
mod doctor;
mod site;
mod vsam;
mod writes;

/// The tables of the VSAM server.
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

/// The variables of somebody who moves, beside `CONNX_PASS`.
const SOURCE: [(&str, &str); 2] = [("CONNX_DSN", "MAINFRAME"), ("CONNX_USER", "connx")];
