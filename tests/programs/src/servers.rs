//! Configurations of web servers, for the tests and the benchmarks.
//!
//! Each is the text of a configuration file: for a server that listens on `port` of the loopback
//! address, serves the fixtures and keeps its own files in `folder`.

use std::path::Path;

use crate::places;

/// nginx in one process, in the foreground; `more` goes into its `server` block.
#[must_use]
pub fn nginx(folder: &Path, port: u16, more: &str) -> String {
    let (root, here) = (places::fixtures(), folder.display());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {here}/server-tmp/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {here}/server.pid;\n\
         error_log {here}/server-error.log;\nevents {{ worker_connections 512; }}\n\
         http {{\n{temporary}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  \
         keepalive_requests 1000000;\n  \
         server {{\n    listen 127.0.0.1:{port};\n    root {};\n{more}  }}\n}}\n",
        root.display()
    )
}

/// lighttpd.
#[must_use]
pub fn lighttpd(port: u16) -> String {
    format!(
        "server.document-root = \"{}\"\nserver.port = {port}\nserver.bind = \"127.0.0.1\"\n\
         server.max-keep-alive-requests = 100000\nindex-file.names = (\"index.html\")\n\
         mimetype.assign = (\".html\" => \"text/html\", \"\" => \"application/octet-stream\")\n",
        places::fixtures().display()
    )
}

/// apache2 with the event MPM, for `-X`.
#[must_use]
pub fn apache(folder: &Path, port: u16) -> String {
    let modules: String = ["mpm_event", "authz_core", "mime", "dir"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let (here, root) = (folder.display(), places::fixtures());
    format!(
        "{modules}ServerRoot \"{here}\"\nServerName localhost\nListen 127.0.0.1:{port}\n\
         PidFile {here}/server.pid\nErrorLog {here}/server-error.log\nDefaultRuntimeDir {here}\n\
         TypesConfig /etc/mime.types\nUser www-data\nGroup www-data\nDocumentRoot \"{}\"\n\
         <Directory \"/\">\n  AllowOverride None\n  Require all granted\n</Directory>\n\
         MaxKeepAliveRequests 0\nThreadsPerChild 16\nMaxRequestWorkers 16\n",
        root.display()
    )
}
