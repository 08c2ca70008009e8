// A SMART app on a server of its own: /launch sends the person to sign in, /back tells what the app then sees.
// The npm package's own code does all of the protocol. Its client id and scopes are in CLIENT_ID and SCOPE.
import { createServer } from 'node:http';

import smart from 'fhirclient';

const kept = new Map();
const storage = {
  get: async (key) => kept.get(key),
  set: async (key, value) => {
    kept.set(key, value);
    return value;
  },
  unset: async (key) => kept.delete(key),
};

async function launch(request, response) {
  await smart(request, response, storage).authorize({
    clientId: process.env.CLIENT_ID,
    scope: process.env.SCOPE,
    redirectUri: '/back',
    pkceMode: 'required',
  });
}

async function back(request, response) {
  const client = await smart(request, response, storage).ready();
  const told = {
    patient: client.patient.id,
    encounter: client.encounter.id,
    user: client.getFhirUser(),
    name: (await client.patient.read()).name[0].family,
    observations: (await client.request('Observation?_summary=count')).total,
    first: client.state.tokenResponse.access_token,
  };
  await client.refresh();
  told.second = client.state.tokenResponse.access_token;
  told.again = (await client.patient.read()).id;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(told));
}

const server = createServer((request, response) => {
  const work = request.url.startsWith('/launch') ? launch : back;
  work(request, response).catch((error) => {
    response.writeHead(500, { 'content-type': 'text/plain' });
    response.end(String(error));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
