// fhir-kit-client's ordinary work, against the server whose FHIR base is in FHIR_BASE.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { CapabilityTool, Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.env.FHIR_BASE });
const run = `kit-${Date.now()}-${process.pid}`;
const system = `urn:${run}`;
let patient;

const matches = (bundle) => (bundle.entry ?? []).filter((e) => e.search?.mode === 'match').map((e) => e.resource);
const observation = (n) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system, code: 'beat' }] },
  subject: { reference: `Patient/${patient.id}` },
  effectiveDateTime: `2026-01-${String(n + 1).padStart(2, '0')}`,
  valueQuantity: { value: 60 + n, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
});

before(async () => {
  patient = await client.create({
    resourceType: 'Patient',
    body: { resourceType: 'Patient', identifier: [{ system, value: '1' }], name: [{ family: '诸葛', given: ['明'] }] },
  });
});

test('create answers the resource with an id and version 1', () => {
  assert.match(patient.id, /^[A-Za-z0-9\-.]{1,64}$/);
  assert.equal(patient.meta.versionId, '1');
  const { response } = Client.httpFor(patient);
  assert.equal(response.status, 201);
  assert.ok(response.headers.get('location').endsWith(`Patient/${patient.id}/_history/1`));
});

test('read gives it back', async () => {
  assert.deepEqual(await client.read({ resourceType: 'Patient', id: patient.id }), patient);
});

test('the capability statement says what is supported', async () => {
  const tool = new CapabilityTool(await client.capabilityStatement());
  assert.ok(tool.resourceCan('Patient', 'create'));
  assert.ok(tool.resourceSearch('Observation', 'code'));
});

test('a create with If-None-Exist finds the resource', async () => {
  const found = await client.create({
    resourceType: 'Patient',
    body: { resourceType: 'Patient', identifier: [{ system, value: '1' }] },
    options: { headers: { 'If-None-Exist': `identifier=${system}|1` } },
  });
  assert.equal(found.id, patient.id);
  assert.equal(Client.httpFor(found).response.status, 200);
});

test('update, patch, history and vread tell the versions', async () => {
  const made = await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', active: true } });
  const second = await client.update({ resourceType: 'Patient', id: made.id, body: { ...made, gender: 'female' } });
  assert.equal(second.meta.versionId, '2');
  const third = await client.patch({
    resourceType: 'Patient',
    id: made.id,
    jsonPatch: [
      { op: 'test', path: '/gender', value: 'female' },
      { op: 'replace', path: '/gender', value: 'male' },
    ],
  });
  assert.equal(third.gender, 'male');
  const history = await client.history({ resourceType: 'Patient', id: made.id });
  assert.deepEqual(history.entry.map((e) => e.resource.meta.versionId), ['3', '2', '1']);
  const first = await client.vread({ resourceType: 'Patient', id: made.id, version: '1' });
  assert.equal(first.gender, undefined);
  const stale = client.update({
    resourceType: 'Patient',
    id: made.id,
    body: second,
    options: { headers: { 'If-Match': 'W/"2"' } },
  });
  await assert.rejects(stale, (error) => error.response.status === 412);
});

test('update with an id of the client creates', async () => {
  const id = `${run}-own`;
  const made = await client.update({ resourceType: 'Patient', id, body: { resourceType: 'Patient', id } });
  assert.equal(made.id, id);
});

test('a transaction links its entries, a batch stands entry for entry', async () => {
  const urn = 'urn:uuid:0b1cf1a5-6a3c-4c4e-9f0a-2f1f6d1c2b3a';
  const answer = await client.transaction({
    body: {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [
        { fullUrl: urn, resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Patient' } },
        {
          resource: { ...observation(0), subject: { reference: urn } },
          request: { method: 'POST', url: 'Observation' },
        },
      ],
    },
  });
  assert.deepEqual(answer.entry.map((e) => e.response.status), ['201 Created', '201 Created']);
  const id = answer.entry[1].response.location.split('/').at(-3);
  const made = await client.read({ resourceType: 'Observation', id });
  assert.ok(answer.entry[0].response.location.includes(made.subject.reference));
  const batch = await client.batch({
    body: {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [
        { request: { method: 'GET', url: `Patient/${patient.id}` } },
        { request: { method: 'GET', url: 'Patient/nobody-here' } },
      ],
    },
  });
  assert.deepEqual(batch.entry.map((e) => e.response.status.slice(0, 3)), ['200', '404']);
});

test('search finds by name, pages through all matches once, by GET and by POST', async () => {
  for (let n = 0; n < 7; n += 1) await client.create({ resourceType: 'Observation', body: observation(n) });
  const byName = await client.search({
    resourceType: 'Patient',
    searchParams: { name: '诸葛明', identifier: `${system}|1` },
  });
  assert.deepEqual(matches(byName).map((r) => r.id), [patient.id]);
  const searchParams = { patient: patient.id, code: `${system}|beat`, _sort: '-date', _count: 3 };
  const values = [];
  let page = await client.search({ resourceType: 'Observation', searchParams });
  while (page) {
    values.push(...matches(page).map((r) => r.valueQuantity.value));
    page = await client.nextPage({ bundle: page });
  }
  assert.deepEqual(values, [66, 65, 64, 63, 62, 61, 60]);
  const posted = await client.search({ resourceType: 'Observation', searchParams, options: { postSearch: true } });
  assert.deepEqual(matches(posted).map((r) => r.valueQuantity.value), [66, 65, 64]);
});

test('compartment search, $everything and resolve', async () => {
  const compartment = { resourceType: 'Patient', id: patient.id };
  const found = await client.search({ resourceType: 'Observation', compartment });
  assert.equal(found.total, 7);
  const everything = await client.operation({ name: '$everything', resourceType: 'Patient', id: patient.id, method: 'GET' });
  assert.equal(everything.entry.filter((e) => e.resource.resourceType === 'Observation').length, 7);
  const subject = await client.resolve({ reference: matches(found)[0].subject.reference });
  assert.equal(subject.id, patient.id);
});

test('a deleted resource is gone, and errors come as an OperationOutcome', async () => {
  const made = await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient' } });
  await client.delete({ resourceType: 'Patient', id: made.id });
  await assert.rejects(client.read({ resourceType: 'Patient', id: made.id }), (e) => e.response.status === 410);
  const bad = client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', gender: 'unheard-of' } });
  await assert.rejects(bad, ({ response }) => {
    assert.ok(response.status >= 400 && response.status < 500);
    assert.equal(response.data.resourceType, 'OperationOutcome');
    assert.match(JSON.stringify(response.data), /Patient\.gender/);
    return true;
  });
});
