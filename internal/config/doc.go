// Package config is what an operator writes: one YAML file and the environment over it.
//
// [Settings] is the list: plain structs, with the operator's words, the default and the
// key beside each field. A key is written data_dir in the file and POSTROAD_DATA_DIR in
// the environment; nothing else has to be kept in step with it.
//
//	Load      reads file and environment, strictly, and reports every fault at once
//	Describe  prints the annotated reference (docs/settings.md is its output)
//
// An unknown name is refused with the nearest known one: a setting with a typing error
// must not be silently the default. Names of the contract that this version does not act
// on yet are known, checked, and reported as notes.
//
// Only the app package and the commands read settings; every other part is handed what
// it needs.
package config
