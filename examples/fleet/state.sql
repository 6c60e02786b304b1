-- The state database of a fleet: one role, one database, one schema that the role owns. Nothing else is needed.
-- Run as an administrator of the server, with a password of your own:
CREATE ROLE countersign_state LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD 'CHANGE-ME';
CREATE DATABASE countersign_state;
REVOKE ALL ON DATABASE countersign_state FROM PUBLIC;
GRANT CONNECT ON DATABASE countersign_state TO countersign_state;
-- In the new database:
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA countersign AUTHORIZATION countersign_state;
