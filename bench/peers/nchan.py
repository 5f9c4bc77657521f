"""nchan: nginx with a publish and subscribe module, messages in memory, from Debian."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.process import Process, free_port

NAME = "nchan, in memory"
MODULES = (
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/share/nginx/modules/ngx_nchan_module.so",
)

CONFIGURATION = """\
load_module {module};
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    client_max_body_size 8m;
    nchan_shared_memory_size 1536m;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/pub/(\\w+)$ {{
            nchan_publisher; nchan_channel_id $1;
            nchan_message_buffer_length 1000; nchan_message_timeout 60s;
        }}
        location ~ ^/sub/(\\w+)$ {{
            nchan_subscriber eventsource; nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


def missing() -> str | None:
    if shutil.which("nginx") is None or _module() is None:
        return "nginx with nchan is not installed (scripts/setup-bench.sh)"
    return None


def _module() -> str | None:
    return next((path for path in MODULES if Path(path).exists()), None)


def start(folder: Path) -> Process:
    port, place = free_port(), folder / "nchan"
    place.mkdir()
    configuration = place / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(
        CONFIGURATION.format(module=_module(), folder=place, port=port, user=user)
    )
    log = folder / "nginx.log"
    return Process(["nginx", "-c", str(configuration), "-e", str(log)], port, log)
