// Hashes, ciphers, key derivation on the thread pool, signatures, zlib, random bytes.
const c = require('crypto'), zlib = require('zlib'), { promisify } = require('util');
const data = Buffer.alloc(3000000, 'scone');
for (const h of ['md5', 'sha1', 'sha256', 'sha512', 'sha3-256', 'blake2b512']) console.log(h, c.createHash(h).update(data).digest('hex'));
const key = Buffer.alloc(32, 1), iv = Buffer.alloc(12, 2), e = c.createCipheriv('aes-256-gcm', key, iv);
const sealed = Buffer.concat([e.update(data), e.final()]), d = c.createDecipheriv('aes-256-gcm', key, iv).setAuthTag(e.getAuthTag());
console.log(Buffer.concat([d.update(sealed), d.final()]).equals(data));
const { privateKey, publicKey } = c.generateKeyPairSync('ec', { namedCurve: 'P-256' });
console.log(c.verify('sha256', data, publicKey, c.sign('sha256', data, privateKey)), c.randomBytes(50).length);
const pbkdf2 = promisify(c.pbkdf2), scrypt = promisify(c.scrypt), gzip = promisify(zlib.gzip), gunzip = promisify(zlib.gunzip);
(async () => {
  const all = await Promise.all([...Array(12).keys()].map((n) => pbkdf2('p' + n, 's', 5000, 32, 'sha256')));
  console.log(all.map((b) => b.toString('hex').slice(0, 8)).join(' '));
  console.log((await scrypt('p', 's', 32)).toString('hex'), (await gunzip(await gzip(data))).equals(data), zlib.deflateSync(data).length);
})();
