// What make deploy runs, in a module of its own, so that its dependency does not reach
// the functions.
module segura-enable/tools/deploy

go 1.26.0

require go.yaml.in/yaml/v3 v3.0.6
