// A real authorization server, real tokens of it, and attacks with them. Started by `cargo xtask`; prints one JSON line for each check.
//
// Usage: node oidc.mjs MODULES-DIRECTORY PORT MCP-URL [--serve-only]
// Every attack is first tried on a verifier without the control, where it succeeds, and then on the server, which must refuse it.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { once } from 'node:events';
import { createHash, createHmac, randomUUID } from 'node:crypto';

const [modules, port, mcp] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
// Standard output is for the report alone; the provider's advice goes beside it.
console.info = console.warn = console.error;
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { Provider, default: Default } = await load('oidc-provider');
const jose = await load('jose');
const ISSUER = `http://127.0.0.1:${port}`;
const RESOURCE = mcp;
const OTHER = 'https://mcp.other.example/mcp';

const client = (id) => ({
  client_id: id, client_secret: `${id}-secret`, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
  token_endpoint_auth_method: 'client_secret_post', id_token_signed_response_alg: 'ES256',
});

async function authority(issuer, listenOn) {
  const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(privateKey)), kid: 'one', use: 'sig', alg: 'ES256' };
  const provider = new (Provider ?? Default)(issuer, {
    clients: [client('nightly'), client('weekly'), client('brief'), client('opaque'), {
      ...client('countersign'), token_endpoint_auth_method: 'client_secret_basic',
    }],
    jwks: { keys: [jwk] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource, { clientId }) => ({
          scope: 'tools:read tools:sql other', audience: resource, accessTokenFormat: clientId === 'opaque' ? 'opaque' : 'jwt',
          accessTokenTTL: clientId === 'brief' ? 2 : 300, jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({ org: 'north', roles: ['reader', 'admin'], of: token.clientId }),
  });
  let [keysAsked, tokensAsked] = [0, 0];
  provider.use(async (ctx, next) => {
    if (ctx.path === '/jwks') keysAsked += 1;
    if (ctx.path === '/token/introspection') tokensAsked += 1;
    await next();
  });
  const server = provider.listen(listenOn, '127.0.0.1');
  await once(server, 'listening');
  return { issuer, server, jwk, keysAsked: () => keysAsked, tokensAsked: () => tokensAsked };
}

async function token(issuer, id, { scope = 'tools:read', resource = RESOURCE, proof } = {}) {
  const body = new URLSearchParams({
    grant_type: 'client_credentials', client_id: id, client_secret: `${id}-secret`, scope, resource,
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...(proof && { dpop: proof }) };
  const answer = await (await fetch(`${issuer}/token`, { method: 'POST', body, headers })).json();
  if (!answer.access_token) throw new Error(`no token: ${JSON.stringify(answer)}`);
  return answer.access_token;
}

async function send(headers, method = 'tools/list', more = {}) {
  const answer = await fetch(mcp, {
    method: 'POST',
    headers: {
      'content-type': 'application/json', accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0', id: 1, method,
      params: {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
          'io.modelcontextprotocol/clientInfo': { name: 'e2e', version: '1' },
        }, ...more,
      },
    }),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}
const bearer = (text, more = {}) => send({ authorization: `Bearer ${text}`, ...more });

async function legacy(text, body, session) {
  return fetch(mcp, {
    method: 'POST',
    headers: {
      'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${text}`,
      ...(session && { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }),
  });
}

const report = (name, ok, detail = '') => console.log(JSON.stringify({ name, ok: Boolean(ok), detail: String(detail).slice(0, 300) }));
async function check(name, work) {
  try {
    const detail = await work();
    report(name, true, detail ?? '');
  } catch (error) {
    report(name, false, error.message);
  }
}
function expect(condition, detail) {
  if (!condition) throw new Error(typeof detail === 'string' ? detail : JSON.stringify(detail));
}
/** An attack: it works on a verifier without the control, and the server answers with `status`. */
const attack = (name, unguarded, guarded, status = 401) => check(name, async () => {
  expect(await unguarded(), 'the attack does not work on an unguarded verifier');
  const answer = await guarded();
  expect(answer.status === status, `HTTP ${answer.status}: ${answer.text}`);
});

const home = await authority(ISSUER, Number(port));
const stranger = await authority('http://127.0.0.1:1', 0);
const strangersPort = stranger.server.address().port;
const good = await token(ISSUER, 'nightly');
const [head, body] = good.split('.');
const claims = jose.decodeJwt(good);
const open = ({ d, ...rest }) => rest;
const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

await check('discovery leads from a refused call to the authorization server', async () => {
  const refused = await send({});
  const url = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate'))?.[1];
  expect(refused.status === 401 && url, `${refused.status} ${refused.headers.get('www-authenticate')}`);
  const metadata = await (await fetch(url)).json();
  expect(metadata.resource === RESOURCE && metadata.authorization_servers.includes(ISSUER), metadata);
  const found = await (await fetch(`${metadata.authorization_servers[0]}/.well-known/openid-configuration`)).json();
  expect(found.token_endpoint.startsWith(ISSUER), found);
});

await check('a real token is taken, again and again', async () => {
  for (let n = 0; n < 3; n += 1) {
    const answer = await bearer(good);
    expect(answer.status === 200, `HTTP ${answer.status}: ${answer.text}`);
  }
});

await attack('a token for another audience', async () => {
  const other = await token(ISSUER, 'nightly', { resource: OTHER });
  await jose.jwtVerify(other, jose.createRemoteJWKSet(new URL(`${ISSUER}/jwks`)));
  return true;
}, async () => bearer(await token(ISSUER, 'nightly', { resource: OTHER })));

await attack('a token of another issuer', async () => {
  const other = await token(`http://127.0.0.1:${strangersPort}`, 'nightly');
  await jose.jwtVerify(other, await jose.importJWK(open(stranger.jwk)));
  return true;
}, async () => bearer(await token(`http://127.0.0.1:${strangersPort}`, 'nightly')));

const impostor = async () => new jose.SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'one' })
  .sign(await jose.importJWK(stranger.jwk, 'ES256'));
await attack('a token of another issuer that claims to be ours',
  async () => jose.decodeJwt(await impostor()).iss === ISSUER, async () => bearer(await impostor()));

await attack('an expired token', async () => {
  const brief = await token(ISSUER, 'brief');
  await jose.compactVerify(brief, await jose.importJWK(open(home.jwk)));
  return true;
}, async () => {
  const brief = await token(ISSUER, 'brief');
  const first = await bearer(brief);
  expect(first.status === 200, `while it lives: HTTP ${first.status} ${first.text}`);
  await new Promise((done) => setTimeout(done, 3500));
  return bearer(brief);
});

await attack('alg none', async () => jose.UnsecuredJWT.decode(`${encode({ alg: 'none' })}.${body}.`).payload.sub === 'nightly',
  () => bearer(`${encode({ alg: 'none', typ: 'at+jwt', kid: 'one' })}.${body}.`));

await attack('HS256 with the public key', async () => {
  // A verifier that lets the token choose the algorithm takes the key it has, which everybody has, for the secret.
  const secret = Buffer.from(JSON.stringify(open(home.jwk)));
  const forged = await new jose.SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret);
  return (await jose.jwtVerify(forged, secret)).payload.sub === 'nightly';
}, async () => {
  const published = (await (await fetch(`${ISSUER}/jwks`)).json()).keys[0];
  const signed = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'one' })}.${body}`;
  return bearer(`${signed}.${createHmac('sha256', JSON.stringify(published)).update(signed).digest('base64url')}`);
});

const mallory = await jose.generateKeyPair('ES256', { extractable: true });
const malloryJwk = await jose.exportJWK(mallory.publicKey);
for (const [name, header] of [
  ['jwk', { jwk: malloryJwk }],
  ['jku', { jku: `http://127.0.0.1:${strangersPort}/jwks` }],
  ['x5u', { x5u: `http://127.0.0.1:${strangersPort}/cert` }],
]) {
  const forge = () => new jose.SignJWT({ ...claims, sub: 'nightly' })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'one', ...header }).sign(mallory.privateKey);
  await attack(`a header that brings its key: ${name}`, async () => {
    const forged = await forge();
    const key = name === 'jwk' ? jose.EmbeddedJWK : mallory.publicKey;
    return (await jose.jwtVerify(forged, key)).payload.sub === 'nightly';
  }, async () => bearer(await forge()));
}

await check('a flood of unknown key ids costs the issuer one request at most', async () => {
  const before = home.keysAsked();
  const statuses = new Set();
  for (let n = 0; n < 100; n += 1) {
    const forged = await new jose.SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: randomUUID() }).sign(mallory.privateKey);
    statuses.add((await bearer(forged)).status);
  }
  expect(home.keysAsked() - before <= 1, `${home.keysAsked() - before} requests`);
  expect([...statuses].every((status) => status === 401 || status === 429), [...statuses]);
  const answer = await bearer(good);
  expect(answer.status === 200, `others are kept out: HTTP ${answer.status}`);
});

await check('a token without the scope gets 403 and a challenge', async () => {
  const narrow = await token(ISSUER, 'nightly', { scope: 'other' });
  const answer = await bearer(narrow);
  const challenge = answer.headers.get('www-authenticate');
  expect(answer.status === 403 && challenge.includes('error="insufficient_scope"') && challenge.includes('scope="tools:read"'), `${answer.status} ${challenge}`);
});

await check('a session id of another principal is not found', async () => {
  const opened = await legacy(good, {
    method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'e2e', version: '1' } },
  });
  const session = opened.headers.get('mcp-session-id');
  await opened.text();
  expect(opened.status === 200 && session, `HTTP ${opened.status}`);
  const own = await legacy(good, { method: 'tools/list' }, session);
  expect(own.status === 200, `its owner: HTTP ${own.status} ${await own.text()}`);
  const other = await legacy(await token(ISSUER, 'weekly'), { method: 'tools/list' }, session);
  expect(other.status === 404, `another: HTTP ${other.status}`);
});

const pair = await jose.generateKeyPair('ES256', { extractable: true });
const publicJwk = await jose.exportJWK(pair.publicKey);
const prove = (url, htm, more = {}, keys = pair, jwk = publicJwk) => new jose.SignJWT({ htu: url, htm, jti: randomUUID(), ...more })
  .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk }).setIssuedAt().sign(keys.privateKey);
const ath = (text) => createHash('sha256').update(text).digest('base64url');
await check('a bound token needs its key, and a proof is good once', async () => {
  const bound = await token(ISSUER, 'nightly', { proof: await prove(`${ISSUER}/token`, 'POST') });
  expect(jose.decodeJwt(bound).cnf?.jkt, 'the authorization server did not bind the token');
  const proof = await prove(RESOURCE, 'POST', { ath: ath(bound) });
  const show = (dpop) => send({ authorization: `DPoP ${bound}`, dpop });
  const first = await show(proof);
  expect(first.status === 200, `its holder: HTTP ${first.status} ${first.text}`);
  await jose.compactVerify(proof, pair.publicKey);
  const again = await show(proof);
  expect(again.status === 401 && again.headers.get('www-authenticate').includes('invalid_dpop_proof'), `replayed: HTTP ${again.status}`);
  expect((await bearer(bound)).status === 401, 'as a bearer token');
  const thief = await show(await prove(RESOURCE, 'POST', { ath: ath(bound) }, mallory, malloryJwk));
  expect(thief.status === 401, `a thief's key: HTTP ${thief.status}`);
});

const query = (text) => send({ authorization: `Bearer ${text}`, 'mcp-name': 'query_shop' }, 'tools/call', {
  name: 'query_shop', arguments: { query: 'SELECT 41 + 1 AS answer' },
});
await check('a call beyond the token’s scopes is 403, and the token that its challenge asks for does', async () => {
  const refused = await query(good);
  const challenge = refused.headers.get('www-authenticate') ?? '';
  const scope = /scope="([^"]+)"/.exec(challenge)?.[1];
  expect(refused.status === 403 && challenge.includes('error="insufficient_scope"') && challenge.includes('resource_metadata="'), `${refused.status} ${challenge}`);
  const answer = await query(await token(ISSUER, 'nightly', { scope }));
  expect(answer.status === 200 && answer.text.includes('42'), `${scope}: HTTP ${answer.status} ${answer.text}`);
});

const ask = async (text) => (await fetch(`${ISSUER}/token/introspection`, {
  method: 'POST', body: new URLSearchParams({ token: text }),
  headers: { authorization: `Basic ${Buffer.from('countersign:countersign-secret').toString('base64')}` },
})).json();
await check('an opaque token is taken, and its issuer is asked once', async () => {
  const opaque = await token(ISSUER, 'opaque');
  expect(!opaque.includes('.'), 'the authorization server issued a token that can be read');
  const before = home.tokensAsked();
  for (let n = 0; n < 5; n += 1) {
    const answer = await bearer(opaque);
    expect(answer.status === 200, `HTTP ${answer.status}: ${answer.text}`);
  }
  expect(home.tokensAsked() - before === 1, `${home.tokensAsked() - before} questions`);
});
await attack('an opaque token for another audience',
  async () => (await ask(await token(ISSUER, 'opaque', { resource: OTHER }))).active,
  async () => bearer(await token(ISSUER, 'opaque', { resource: OTHER })));
await check('an opaque token that is revoked at its issuer ends with the answer', async () => {
  const opaque = await token(ISSUER, 'opaque');
  expect((await bearer(opaque)).status === 200, 'while it is good');
  await fetch(`${ISSUER}/token/revocation`, {
    method: 'POST', body: new URLSearchParams({ token: opaque, client_id: 'opaque', client_secret: 'opaque-secret' }),
  });
  expect((await ask(opaque)).active === false, 'the authorization server did not revoke it');
  await new Promise((done) => setTimeout(done, 1500));
  expect((await bearer(opaque)).status === 401, 'after the answer has gone stale');
});
await check('a made-up token costs the issuer one question, however often it is shown', async () => {
  const [before, madeUp] = [home.tokensAsked(), randomUUID()];
  for (let n = 0; n < 20; n += 1) expect((await bearer(madeUp)).status === 401, 'it is taken');
  expect(home.tokensAsked() - before <= 2, `${home.tokensAsked() - before} questions`);
});
await check('an opaque token that is bound needs its key', async () => {
  const bound = await token(ISSUER, 'opaque', { proof: await prove(`${ISSUER}/token`, 'POST') });
  expect((await bearer(bound)).status === 401, 'as a bearer token');
  const answer = await send({ authorization: `DPoP ${bound}`, dpop: await prove(RESOURCE, 'POST', { ath: ath(bound) }) });
  expect(answer.status === 200, `its holder: HTTP ${answer.status} ${answer.text}`);
});

home.server.close();
stranger.server.close();
process.exit(0);
