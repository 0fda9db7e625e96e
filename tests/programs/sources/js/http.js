// An http server and 300 requests, keep-alive and not, in one process.
const http = require('http');
const server = http.createServer((req, res) => {
  const parts = [];
  req.on('data', (d) => parts.push(d));
  req.on('end', () => res.end(JSON.stringify({ url: req.url, size: Buffer.concat(parts).length })));
});
const ask = (agent, n) => new Promise((done, fail) => {
  const req = http.request({ port: server.address().port, path: `/x${n}`, method: 'POST', agent }, (res) => {
    let text = '';
    res.on('data', (d) => { text += d; }).on('end', () => done(text));
  });
  req.on('error', fail);
  req.end('x'.repeat(n * 100));
});
server.listen(0, '127.0.0.1', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const answers = await Promise.all([...Array(200).keys()].map((n) => ask(agent, n)));
  for (let n = 0; n < 100; n++) answers.push(await ask(false, n));
  console.log(answers.length, require('crypto').createHash('sha1').update(answers.join()).digest('hex'));
  agent.destroy();
  server.close();
});
