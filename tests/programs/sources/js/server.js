// A small HTTP server; SIGTERM ends it with status 0.
const server = require('http').createServer((req, res) => {
  const body = `path ${req.url}\n`;
  res.writeHead(200, { 'Content-Length': body.length }).end(body);
});
server.listen(+process.argv[2], '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
