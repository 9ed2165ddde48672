#!/bin/bash
# Starts the server after making, once, an authority and the server's certificate; the authority's key is thrown away.
set -euo pipefail
cd /usr/share/elasticsearch/config
if [ ! -f certificates/server.crt ]; then
    work=$(mktemp -d)
    elasticsearch-certutil ca --silent --pem --days 3650 --out "$work/ca.zip"
    unzip -q "$work/ca.zip" -d "$work"
    elasticsearch-certutil cert --silent --pem --days 3650 --name server \
        --dns elasticsearch --dns localhost --ip 127.0.0.1 \
        --ca-cert "$work/ca/ca.crt" --ca-key "$work/ca/ca.key" --out "$work/server.zip"
    unzip -q "$work/server.zip" -d "$work"
    install -m 644 "$work/ca/ca.crt" authority/
    install -m 600 "$work/server/server.key" certificates/
    install -m 644 "$work/server/server.crt" certificates/
    rm -r "$work"
fi
cd /usr/share/elasticsearch
exec /usr/local/bin/docker-entrypoint.sh "$@"
