-- From here on the text is the same for everybody: what is yours stands in the two tables above, and every name of yours is put into a
-- statement by format() with %I, every value with %L. Running it again changes nothing.

-- ---- 1. Logins: no attribute, no membership, nothing of their own ---------------------------------------------------------------------
DO $$
DECLARE
  scope countersign_scope;
  login record;
  other record;
BEGIN
  SELECT * INTO STRICT scope FROM countersign_scope;
  FOR login IN SELECT * FROM countersign_login ORDER BY role LOOP
    -- An existing role is taken over only if it is harmless: an administrator's, or an owner's, is somebody else's.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login.role
               AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)) THEN
      RAISE EXCEPTION 'role % has the attributes of an administrator', login.role
        USING HINT = 'name a role of its own in countersign.toml; this script makes it';
    END IF;
    IF EXISTS (SELECT FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = login.role)) THEN
      RAISE EXCEPTION 'role % owns tables: row security does not bind an owner', login.role
        USING HINT = 'name a role of its own in countersign.toml; this script makes it';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login.role) THEN
      EXECUTE format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT', login.role);
      RAISE NOTICE 'made the role %', login.role;
    END IF;
    EXECUTE format('ALTER ROLE %I LOGIN NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT %s', login.role, scope.connections);
    IF login.verifier IS NOT NULL THEN
      EXECUTE format('ALTER ROLE %I PASSWORD %L', login.role, login.verifier);
    END IF;
    -- SET ROLE would make it whom it is a member of: it is a member of nobody.
    FOR other IN SELECT pg_get_userbyid(roleid) AS role FROM pg_auth_members
                 WHERE member = (SELECT oid FROM pg_roles WHERE rolname = login.role) LOOP
      EXECUTE format('REVOKE %I FROM %I', other.role, login.role);
      RAISE NOTICE 'took % out of the role %', login.role, other.role;
    END LOOP;
    -- A second wall: Countersign sets these on each connection itself.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = %L', login.role, current_database(), scope.timeout);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L', login.role, current_database(), scope.timeout);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET lock_timeout = %L', login.role, current_database(), '1s');
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET work_mem = %L', login.role, current_database(), '16MB');
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %s', login.role, current_database(),
                   (SELECT string_agg(quote_ident(name), ', ' ORDER BY place) FROM unnest(scope.schemas) WITH ORDINALITY AS s(name, place)));
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_read_only = %L', login.role, current_database(),
                   cardinality(scope.writable) = 0 OR NOT login.writes);
    IF current_setting('is_superuser')::boolean THEN
      EXECUTE format('ALTER ROLE %I IN DATABASE %I SET temp_file_limit = %L', login.role, current_database(), '256MB');
    END IF;
  END LOOP;
END $$;

-- ---- 2. The database and its schemas: come in, look, make nothing ---------------------------------------------------------------------
DO $$
DECLARE
  scope countersign_scope;
  login record;
  schema text;
BEGIN
  SELECT * INTO STRICT scope FROM countersign_scope;
  IF NOT scope.keep_public THEN
    -- Everybody may make temporary tables unless this is said. Programs that need them must be granted TEMPORARY.
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END IF;
  FOREACH schema IN ARRAY scope.schemas LOOP
    IF NOT scope.keep_public THEN
      EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', schema);
    END IF;
    FOR login IN SELECT * FROM countersign_login ORDER BY role LOOP
      -- What was granted before is taken back, so that the rights are those of this script and no others.
      EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', schema, login.role);
      EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I', schema, login.role);
      EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', schema, login.role);
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema, login.role);
    END LOOP;
  END LOOP;
  FOR login IN SELECT * FROM countersign_login ORDER BY role LOOP
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login.role);
  END LOOP;
END $$;

-- ---- 3. Tables: columns that hold no secrets, rows of one tenant ----------------------------------------------------------------------
-- Tables made later are not readable until this is run again. That is meant: somebody should look at them first.
DO $$
DECLARE
  scope countersign_scope;
  per_tenant boolean;
  item record;
  login record;
  other record;
  readable text;
  hidden text;
  writes boolean;
  own text;
BEGIN
  SELECT * INTO STRICT scope FROM countersign_scope;
  SELECT bool_or(tenant IS NOT NULL) INTO per_tenant FROM countersign_login;
  FOR item IN
    SELECT c.oid, c.relkind, c.relacl, c.relowner, c.relrowsecurity,
           format('%I.%I', n.nspname, c.relname) AS name,
           n.nspname || '.' || c.relname AS plain,
           c.relname LIKE 'restricted\_%' OR n.nspname = 'restricted' AS restricted,
           n.nspname || '.' || c.relname = ANY (scope.shared) OR c.relname = ANY (scope.shared) AS shared,
           n.nspname || '.' || c.relname = ANY (scope.writable) OR c.relname = ANY (scope.writable) AS writable,
           c.relkind IN ('r', 'p') AND EXISTS (
             SELECT FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname = scope.tenant_column AND NOT a.attisdropped) AS has_tenant,
           coalesce('security_invoker=true' = ANY (c.reloptions) OR 'security_invoker=on' = ANY (c.reloptions), false) AS invoker
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (scope.schemas) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (cardinality(scope.tables) = 0 OR n.nspname || '.' || c.relname = ANY (scope.tables) OR c.relname = ANY (scope.tables))
    ORDER BY n.nspname, c.relname
  LOOP
    IF item.restricted THEN
      RAISE NOTICE 'left out %: its name says that it is restricted', item.name;
      CONTINUE;
    END IF;
    IF per_tenant AND item.relkind = 'v' AND NOT item.invoker AND NOT item.shared THEN
      RAISE NOTICE 'left out the view %: it reads with its owner''s rights, past row security; see ALTER VIEW … SET (security_invoker = true)', item.name;
      CONTINUE;
    END IF;
    IF per_tenant AND item.relkind <> 'v' AND NOT item.has_tenant AND NOT item.shared THEN
      RAISE NOTICE 'left out %: it has no column % to tell tenants apart; --shared % lets every tenant read all of it',
        item.name, scope.tenant_column, item.plain;
      CONTINUE;
    END IF;
    IF NOT scope.keep_public AND EXISTS (SELECT FROM aclexplode(item.relacl) WHERE grantee = 0) THEN
      EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', item.name);
      RAISE NOTICE 'took the rights of PUBLIC on %; grant them to the roles that need them', item.name;
    END IF;

    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attname !~* scope.secret_columns),
           string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attname ~* scope.secret_columns)
      INTO readable, hidden
      FROM pg_attribute WHERE attrelid = item.oid AND attnum > 0 AND NOT attisdropped;
    CONTINUE WHEN readable IS NULL;

    own := NULL;
    IF per_tenant AND item.has_tenant AND NOT item.shared THEN
      own := scope.tenant_column;
      IF NOT item.relrowsecurity THEN
        -- Row security is new to this table: roles that have rights of their own on it go on seeing every row.
        FOR other IN
          SELECT DISTINCT pg_get_userbyid(grantee) AS role FROM (
            SELECT (aclexplode(item.relacl)).grantee
            UNION ALL SELECT (aclexplode(attacl)).grantee FROM pg_attribute WHERE attrelid = item.oid AND NOT attisdropped) AS holders
          WHERE grantee <> 0 AND grantee <> item.relowner
            AND pg_get_userbyid(grantee) NOT IN (SELECT role FROM countersign_login)
        LOOP
          CONTINUE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = item.oid AND polname = 'keep_' || left(other.role, 55));
          EXECUTE format('CREATE POLICY %I ON %s TO %I USING (true) WITH CHECK (true)', 'keep_' || left(other.role, 55), item.name, other.role);
          RAISE NOTICE 'row security is new to %: % goes on seeing every row', item.name, other.role;
        END LOOP;
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.name);
      END IF;
    END IF;

    writes := item.writable AND item.relkind IN ('r', 'p');
    FOR login IN SELECT * FROM countersign_login ORDER BY role LOOP
      IF hidden IS NULL THEN
        EXECUTE format('GRANT SELECT ON %s TO %I', item.name, login.role);
      ELSE
        EXECUTE format('GRANT SELECT (%s) ON %s TO %I', readable, item.name, login.role);
      END IF;
      -- MUTATE(A5-init-writer): the login that reads may write as well
      IF writes AND login.writes THEN
        EXECUTE format('GRANT INSERT (%1$s), UPDATE (%1$s), DELETE ON %2$s TO %3$I', readable, item.name, login.role);
        FOR other IN SELECT d.objid::regclass AS name FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
                     WHERE d.refobjid = item.oid AND d.deptype IN ('a', 'i') AND s.relkind = 'S' LOOP
          EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', other.name, login.role);
        END LOOP;
      END IF;
      IF own IS NOT NULL THEN
        -- The first lets the tenant's rows in. The second keeps all others out, whatever a policy for PUBLIC may add. Both hang on the login,
        -- and on no setting: a setting can be changed inside a SELECT.
        FOR other IN SELECT polname AS name FROM pg_policy
                     WHERE polrelid = item.oid AND polname IN (login.role || '_rows', login.role || '_only') LOOP
          EXECUTE format('DROP POLICY %I ON %s', other.name, item.name);
        END LOOP;
        EXECUTE format('CREATE POLICY %1$I ON %2$s TO %3$I USING (%4$I = %5$L) WITH CHECK (%4$I = %5$L)',
                       login.role || '_rows', item.name, login.role, own, login.value);
        EXECUTE format('CREATE POLICY %1$I ON %2$s AS RESTRICTIVE TO %3$I USING (%4$I = %5$L) WITH CHECK (%4$I = %5$L)',
                       login.role || '_only', item.name, login.role, own, login.value);
      END IF;
    END LOOP;
    RAISE NOTICE 'readable: %', concat_ws('; ', item.name, 'without ' || hidden, CASE WHEN writes THEN 'and writable' END,
      CASE WHEN per_tenant AND own IS NULL AND item.relkind <> 'v' THEN 'whole, by every tenant' END);
  END LOOP;
END $$;

-- ---- 4. Functions of yours that queries may call --------------------------------------------------------------------------------------
DO $$
DECLARE
  scope countersign_scope;
  item record;
  login record;
BEGIN
  SELECT * INTO STRICT scope FROM countersign_scope;
  FOR item IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
              WHERE n.nspname || '.' || p.proname = ANY (scope.functions) LOOP
    FOR login IN SELECT * FROM countersign_login ORDER BY role LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', item.name, login.role);
    END LOOP;
    RAISE NOTICE 'callable: %', item.name;
  END LOOP;
END $$;

COMMIT;
