// fs in its three flavours, streams, timers, events, dns of localhost, signals.
const fs = require('fs'), path = require('path'), { pipeline } = require('stream/promises'), zlib = require('zlib'), net = require('net');
(async () => {
  fs.mkdirSync('a/b', { recursive: true }); fs.writeFileSync('a/f', 'x'.repeat(100000)); await fs.promises.copyFile('a/f', 'a/g');
  await pipeline(fs.createReadStream('a/f'), zlib.createGzip(), zlib.createGunzip(), fs.createWriteStream('a/h'));
  console.log(fs.readdirSync('a').sort(), fs.statSync('a/h').size, fs.readFileSync('a/h').equals(fs.readFileSync('a/f')));
  fs.renameSync('a/g', 'a/b/g'); fs.symlinkSync('b/g', 'a/l'); console.log(fs.readlinkSync('a/l'), fs.lstatSync('a/l').isSymbolicLink());
  try { fs.readFileSync('none'); } catch (e) { console.log(e.code); }
  const server = net.createServer((s) => s.pipe(s)).listen('sock', () => {
    const c = net.connect('sock', () => c.end('echo')); let t = '';
    c.on('data', (d) => { t += d; }).on('close', () => { console.log(t); server.close(); });
  });
  process.on('SIGUSR2', () => { console.log('signal'); clearInterval(keep); }); const keep = setInterval(() => {}, 1000);
  setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 50);
  await new Promise((done) => { const w = fs.watch('a', () => { w.close(); done(); }); setTimeout(() => fs.writeFileSync('a/new', ''), 20); });
  console.log('watched', path.basename(process.argv[1]), process.platform, process.arch, os().length > 0);
})();
function os() { return require('os').cpus(); }
