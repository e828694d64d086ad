# Starts as one of the three: by the command that compose.yaml gives it, PostgreSQL without one.
set -e
case "${1:-}" in
  valkey-server) exec "$@" --bind 0.0.0.0 --protected-mode no ;;
  mini) exec /opt/moto/bin/python /opt/s3.py ;;
esac
data=/var/lib/postgresql/data
chown postgres "$data"
install --directory --owner=postgres /var/run/postgresql
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
if [ ! -s "$data/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
  chown postgres /tmp/password
  as_postgres initdb --pgdata="$data" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  as_postgres postgres --single -D "$data" postgres >/dev/null <<SQL
CREATE DATABASE "$POSTGRES_DB"
SQL
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$data" -c listen_addresses='*'
