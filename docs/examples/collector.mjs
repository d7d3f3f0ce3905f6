// A collector for an outer zone: seals posts to match's public key and leaves them as files that a carrier takes inward.
//
//     node collector.mjs FOLDER < posts.jsonl
//
// FOLDER/keys/seal/*.pub          match's public keys, carried outward; the newest by name is used
// FOLDER/keys/sign/collector.key  what this collector signs with; made at the first start, mode 0600
// FOLDER/keys/signers/captures/   its public half: carry it inward once, into keys/signers/captures of match
// FOLDER/spool/captures/*.spool   what the carrier takes, and removes
//
// A line of input is {"site", "url", "text"} and, where known, "title", "author", "published_at" (ISO 8601 with a zone). Node 18 or
// newer, and nothing else. docs/data-formats.md describes every byte that is written here.

import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";

const SCHEMA = 1; // of a capture
const BATCH = 100; // posts a file
const GRANT_SECONDS = 6 * 3600; // how long the bus may take posts under a grant
const MOST_BYTES = 4 << 20; // and no more than this; a larger post has a file of its own

// --- bytes -----------------------------------------------------------------------------------------------------------------------

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(n)); return b; };
const f64 = (n) => { const b = Buffer.alloc(8); b.writeDoubleBE(n); return b; };
const framed = (head, body) => Buffer.concat([u32(head.length), head, body]);
const json = (value) => Buffer.from(JSON.stringify(value));
const checked = (bytes) => Buffer.concat([bytes, u32(crc32(bytes))]);
const raw = (key) => Buffer.from(key.export({ format: "jwk" }).x, "base64url");

const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest >>> 0;
});

function crc32(bytes) { // as zlib's, which Node has since 20.15
  let sum = 0xffffffff;
  for (const byte of bytes) sum = REMAINDERS[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

// --- HPKE (RFC 9180): base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message a key ----------------------------

const KEM = Buffer.from("KEM\x00\x20", "latin1");
const HPKE = Buffer.from("HPKE\x00\x20\x00\x01\x00\x02", "latin1");
const EMPTY = Buffer.alloc(0);
const hmac = (key, ...parts) => crypto.createHmac("sha256", key).update(Buffer.concat(parts)).digest();
const labelled = (suite, label) => [Buffer.from("HPKE-v1"), suite, Buffer.from(label)];
const extract = (suite, salt, label, ikm) => hmac(salt, ...labelled(suite, label), ikm);

function expand(suite, secret, label, info, length) { // one block of HKDF: no output here is longer than 32 bytes
  const size = Buffer.from([length >> 8, length & 255]);
  return hmac(secret, size, ...labelled(suite, label), info, Buffer.from([1])).subarray(0, length);
}

function seal(plain, recipient, info) {
  const ephemeral = crypto.generateKeyPairSync("x25519");
  const publicKey = crypto.createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "X25519", x: recipient.toString("base64url") } });
  const encapsulated = raw(ephemeral.publicKey);
  const agreed = crypto.diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const shared = expand(KEM, extract(KEM, EMPTY, "eae_prk", agreed), "shared_secret", Buffer.concat([encapsulated, recipient]), 32);
  const hashes = [extract(HPKE, EMPTY, "psk_id_hash", EMPTY), extract(HPKE, EMPTY, "info_hash", info)];
  const context = Buffer.concat([Buffer.from([0]), ...hashes]);
  const secret = extract(HPKE, shared, "secret", EMPTY);
  const key = expand(HPKE, secret, "key", context, 32);
  const cipher = crypto.createCipheriv("aes-256-gcm", key, expand(HPKE, secret, "base_nonce", context, 12));
  return Buffer.concat([encapsulated, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

// --- keys ------------------------------------------------------------------------------------------------------------------------

function newestSealKey(folder) {
  const names = fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => name.endsWith(".pub")).sort() : [];
  if (names.length === 0) throw new Error(`${folder} has no seal key: carry keys/seal/*.pub of match there`);
  const name = names.at(-1);
  const content = fs.readFileSync(path.join(folder, name));
  const key = content.subarray(0, 32);
  if (!content.equals(withCheckValue(key, `seal/${name}`))) throw new Error(`${path.join(folder, name)} is damaged: copy it again`);
  return { id: name.slice(0, -".pub".length), key };
}

function withCheckValue(key, name) { // a key's file: 32 bytes, then five of AES-CMAC over a block of zeros, under a key of its name
  const info = Buffer.from(["ullage", "check", name].join("\x1f"));
  const derived = Buffer.from(crypto.hkdfSync("sha256", key, EMPTY, info, 32));
  const encrypted = (block) => crypto.createCipheriv("aes-256-ecb", derived, null).setAutoPadding(false).update(block);
  const once = encrypted(Buffer.alloc(16));
  const subkey = Buffer.from(once.map((byte, place) => ((byte << 1) | (place < 15 ? once[place + 1] >> 7 : 0)) & 255));
  if (once[0] & 128) subkey[15] ^= 0x87;
  return Buffer.concat([key, encrypted(subkey).subarray(0, 5)]);
}

function signerOf(keys) {
  const file = path.join(keys, "sign", "collector.key");
  if (!fs.existsSync(file)) {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeDurably(file, crypto.randomBytes(32), 0o600);
  }
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), fs.readFileSync(file)]);
  const secret = crypto.createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const half = raw(crypto.createPublicKey(secret));
  const name = crypto.createHash("sha256").update(half).digest("hex").slice(0, 16);
  const shown = path.join(keys, "signers", "captures", `${name}.pub`);
  fs.mkdirSync(path.dirname(shown), { recursive: true });
  if (!fs.existsSync(shown)) writeDurably(shown, withCheckValue(half, `signers/captures/${name}.pub`), 0o644);
  return { name, secret };
}

// --- a capture -------------------------------------------------------------------------------------------------------------------

function capture(post) {
  for (const field of ["site", "url", "text"]) if (typeof post[field] !== "string") throw new Error(`${field} is missing`);
  const id = crypto.randomBytes(16).toString("hex");
  const known = Object.fromEntries(["title", "author", "published_at"].filter((name) => post[name]).map((name) => [name, post[name]]));
  const header = {
    id, site: post.site, platform: "ingest", post_id: post.url, url: post.url, fetched_at: new Date().toISOString(),
    charset: "utf-8", ...known,
  };
  return { id, site: post.site, bytes: framed(json(header), Buffer.from(post.text)) };
}

function signed(bytes, signer) {
  const message = Buffer.concat([Buffer.from("ullage"), Buffer.from("capture"), bytes].flatMap((part) => [u64(part.length), part]));
  return framed(json({ signer: signer.name, signature: crypto.sign(null, message, signer.secret).toString("hex") }), bytes);
}

class Visit { // one key for each site of a visit; its posts carry it, granted for that site and six hours, signed and sealed
  constructor(sealKey, signer) {
    this.sealKey = sealKey;
    this.signer = signer;
    this.info = Buffer.from(["ullage", "capture", "captures", String(SCHEMA), sealKey.id].join("\x1f"));
    this.name = crypto.randomBytes(16).toString("hex");
    this.grants = new Map();
  }

  grantFor(site) {
    if (!this.grants.has(site)) {
      const key = crypto.randomBytes(32);
      const granted = json({ site, visit: this.name, until: Date.now() / 1000 + GRANT_SECONDS });
      const grant = seal(signed(framed(granted, key), this.signer), this.sealKey.key, this.info);
      this.grants.set(site, { key, grant, count: 0 });
    }
    return this.grants.get(site);
  }

  record(post) {
    const made = capture(post);
    const granted = this.grantFor(made.site);
    const nonce = Buffer.concat([u32(0), u64(granted.count++)]);
    const cipher = crypto.createCipheriv("aes-256-gcm", granted.key, nonce).setAAD(this.info);
    const value = framed(granted.grant, Buffer.concat([nonce, cipher.update(made.bytes), cipher.final(), cipher.getAuthTag()]));
    const headers = { site: made.site, id: made.id, schema: String(SCHEMA), key_id: this.sealKey.id };
    const description = json({ key: made.id, headers, timestamp: Date.now() / 1000 });
    return checked(Buffer.concat([u32(description.length), u32(value.length), description, value]));
  }
}

// --- the spool: a number is spent durably before a file gets it, so no number is used twice and none is lost ------------------------

function writeDurably(file, bytes, mode = 0o644) {
  const handle = fs.openSync(file, "w", mode);
  fs.writeSync(handle, bytes);
  fs.fsyncSync(handle);
  fs.closeSync(handle);
}

function syncFolder(folder) {
  const handle = fs.openSync(folder, "r");
  fs.fsyncSync(handle);
  fs.closeSync(handle);
}

class Spool {
  constructor(folder) {
    this.folder = path.join(folder, "captures");
    this.state = path.join(folder, "collector.json");
    fs.mkdirSync(this.folder, { recursive: true });
    this.next = fs.existsSync(this.state)
      ? JSON.parse(fs.readFileSync(this.state, "utf8"))
      : { stream: crypto.randomBytes(8).toString("hex"), number: 1, offset: 0 };
    for (const name of fs.readdirSync(this.folder).filter((one) => one.endsWith(".partial"))) { // what a crash left
      const file = path.join(this.folder, name);
      if (Number(name.slice(0, 20)) < this.next.number) fs.renameSync(file, file.slice(0, -".partial".length));
      else fs.unlinkSync(file);
    }
  }

  append(records) {
    const { stream, number, offset } = this.next;
    const size = 64 + records.reduce((sum, one) => sum + one.length, 0);
    const head = [Buffer.from("ULSPOOL1"), Buffer.from(stream), u64(number), u64(offset), u32(records.length), f64(Date.now() / 1000), u64(size)];
    const file = path.join(this.folder, `${String(number).padStart(20, "0")}-${stream}.spool`);
    writeDurably(`${file}.partial`, Buffer.concat([checked(Buffer.concat(head)), ...records]));
    this.next = { stream, number: number + 1, offset: offset + records.length };
    writeDurably(`${this.state}.new`, json(this.next));
    fs.renameSync(`${this.state}.new`, this.state);
    syncFolder(path.dirname(this.state));
    fs.renameSync(`${file}.partial`, file);
    syncFolder(this.folder);
  }
}

// --- from lines to files ---------------------------------------------------------------------------------------------------------

async function main(folder) {
  if (!folder) throw new Error("say where: node collector.mjs FOLDER < posts.jsonl");
  const keys = path.join(folder, "keys");
  const [sealKey, signer, spool] = [newestSealKey(path.join(keys, "seal")), signerOf(keys), new Spool(path.join(folder, "spool"))];
  const visit = new Visit(sealKey, signer);
  let [waiting, bytes, taken, refused, number] = [[], 0, 0, 0, 0];
  const flush = () => {
    if (waiting.length > 0) spool.append(waiting);
    [waiting, bytes] = [[], 0];
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    number += 1;
    try {
      const one = visit.record(JSON.parse(line));
      if (bytes + one.length > MOST_BYTES || waiting.length === BATCH) flush();
      waiting.push(one);
      [bytes, taken] = [bytes + one.length, taken + 1];
    } catch (error) { // the line is named, and nothing that stands in it
      refused += 1;
      console.error(`line ${number}: ${error instanceof SyntaxError ? "is no JSON" : error.message}`);
    }
  }
  flush();
  console.log(`${taken} posts sealed to ${sealKey.id}, ${refused} lines refused; signed as ${signer.name}`);
  process.exitCode = refused > 0 ? 1 : 0;
}

main(process.argv[2]).catch((error) => {
  console.error(error.message);
  process.exitCode = 2;
});
