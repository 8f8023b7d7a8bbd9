package main

import (
	"context"
	"fmt"
	"os"
)

const messageSize = 2048

func main() {
	for _, held := range []bool{false, true} {
		f, err := postfixRun(context.Background(), 5000, 50, held)
		fmt.Println(err)
		if f != nil {
			fmt.Printf("%+v\n", *f)
		}
	}
	r, err := signRaw(2e9)
	fmt.Fprintln(os.Stdout, r, err)
}
