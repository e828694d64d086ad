# Sourced by .ci/run. A Docker Engine of its own, beside any other of this machine, and its images.
# The images are kept in the cache; the Engine's own layer cache tells what has to be built again.

docker_start() { # work folder, cache folder
  local recipe data old
  recipe=$(cat .ci/docker.sh deploy/engines/llamafactory/locks/cpu.txt | sha256sum | cut -c1-16)
  data="$2/docker-$recipe"
  mkdir -p "$data"
  exec 9>"$data.lock"
  flock 9 # one Engine at a time may use them
  for old in "$2"/docker-*; do
    # One that another run works with is left alone.
    [[ ! -d $old || $old == "$data" ]] || flock --nonblock "$old.lock" rm -rf "$old" "$old.lock" || true
  done
  docker_folder="$1/docker"
  .venv/bin/python tests/dockerd.py start "$docker_folder" --data "$data"
  export DOCKER_HOST="unix://$docker_folder/docker.sock" TRAINER_TEST_DOCKER="$docker_folder"
  export TRAINER_TEST_BASE=llm-cloud-trainer/base:tests
  docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
}

docker_base() { # work folder: the image that all others stand on, made from Debian's packages
  docker image inspect "$TRAINER_TEST_BASE" >/dev/null 2>&1 && return
  local mirror
  mirror=$(sed -nE 's/^(URIs:|deb) +(https?:[^ ]+).*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    bookworm "$1/root" ${mirror:+"$mirror"} >"$1/debootstrap.log" 2>&1 || { tail -20 "$1/debootstrap.log"; return 1; }
  rm -rf "$1"/root/var/cache/apt/archives/*.deb "$1"/root/var/lib/apt/lists/*
  tar -C "$1/root" -c . | docker import - "$TRAINER_TEST_BASE" >/dev/null
  rm -rf "$1/root"
}

docker_build_base() { # work folder: the same with what pip needs on this machine
  docker_build_image=llm-cloud-trainer/build-base:tests
  docker image inspect "$docker_build_image" >/dev/null 2>&1 && return
  local folder="$1/build-base" place
  mkdir -p "$folder/wheels"
  cp -L "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" "$folder/ca.crt"
  for place in ${PIP_FIND_LINKS:-}; do
    [[ -d $place ]] && cp "$place"/*.whl "$folder/wheels/"
  done
  printf '[global]\ncert = /usr/local/share/pip/ca.crt\nfind-links = /usr/local/share/pip/wheels\n' >"$folder/pip.conf"
  printf 'FROM %s\nCOPY . /usr/local/share/pip/\nRUN cp /usr/local/share/pip/pip.conf /etc/pip.conf\n' \
    "$TRAINER_TEST_BASE" >"$folder/Dockerfile"
  docker build --quiet --network host --tag "$docker_build_image" "$folder" >/dev/null
  rm -rf "$folder"
}

docker_node_base() { # work folder: the same with this machine's Node and npm
  docker_node_image=llm-cloud-trainer/node-base:tests
  docker image inspect "$docker_node_image" >/dev/null 2>&1 && return
  local folder="$1/node-base"
  mkdir -p "$folder"
  cp -L "$(command -v node)" "$folder/node"
  cp -rL "$(npm root --global)/npm" "$folder/npm"
  printf 'FROM %s\nCOPY node /usr/local/bin/node\nCOPY npm /usr/local/lib/node_modules/npm\n%s\n%s\n' "$docker_build_image" \
    'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm' \
    'ENV NODE_EXTRA_CA_CERTS=/usr/local/share/pip/ca.crt' >"$folder/Dockerfile"
  docker build --quiet --network host --tag "$docker_node_image" "$folder" >/dev/null
  rm -rf "$folder"
}

docker_stop() {
  [[ -z ${docker_folder:-} ]] || .venv/bin/python tests/dockerd.py stop "$docker_folder" || true
}
