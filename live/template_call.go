package live

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	syntax "text/template/parse"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
)

// callName is the function that fields and methods are looked up by.
const callName = "_call"

// withoutReflection has a template look its fields and methods up in templateMethods.
//
// The standard library's text/template calls methods by names that are known only when
// the template runs. In a program that holds such a call the linker has to keep every
// exported method of every type, which was a fifth of ours. The package that is used here
// is text/template without method calls; this gives the calls back for the types that
// a template can reach: each .A.B X of it becomes _call . "A.B" X.
func withoutReflection(t *template.Template) *template.Template {
	for _, x := range t.Templates() {
		rewriteList(x.Tree, x.Root)
	}
	return t
}

func rewriteList(tree *syntax.Tree, list *syntax.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *syntax.ActionNode:
			rewritePipe(tree, n.Pipe)
		case *syntax.TemplateNode:
			rewritePipe(tree, n.Pipe)
		case *syntax.IfNode:
			rewriteBranch(tree, &n.BranchNode)
		case *syntax.RangeNode:
			rewriteBranch(tree, &n.BranchNode)
		case *syntax.WithNode:
			rewriteBranch(tree, &n.BranchNode)
		}
	}
}

func rewriteBranch(tree *syntax.Tree, n *syntax.BranchNode) {
	rewritePipe(tree, n.Pipe)
	rewriteList(tree, n.List)
	rewriteList(tree, n.ElseList)
}

func rewritePipe(tree *syntax.Tree, pipe *syntax.PipeNode) {
	if pipe == nil {
		return
	}
	for _, c := range pipe.Cmds {
		for i, arg := range c.Args[1:] {
			if call := callOf(tree, arg); call != nil {
				c.Args[i+1] = &syntax.PipeNode{NodeType: syntax.NodePipe, Pos: arg.Position(), Line: pipe.Line,
					Cmds: []*syntax.CommandNode{{NodeType: syntax.NodeCommand, Pos: arg.Position(), Args: call}}}
			}
		}
		if call := callOf(tree, c.Args[0]); call != nil {
			c.Args = append(call, c.Args[1:]...)
		}
	}
}

// callOf is the call that looks up what n names; nil if n names no field. Pipelines within n
// are rewritten in any case.
func callOf(tree *syntax.Tree, n syntax.Node) []syntax.Node {
	var on syntax.Node
	var names []string
	switch n := n.(type) {
	case *syntax.PipeNode:
		rewritePipe(tree, n)
	case *syntax.FieldNode:
		on, names = &syntax.DotNode{NodeType: syntax.NodeDot, Pos: n.Pos}, n.Ident
	case *syntax.VariableNode:
		on, names = &syntax.VariableNode{NodeType: syntax.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}, n.Ident[1:]
	case *syntax.ChainNode:
		if pipe, ok := n.Node.(*syntax.PipeNode); ok {
			rewritePipe(tree, pipe)
		}
		on, names = n.Node, n.Field
	}
	if len(names) == 0 {
		return nil
	}
	path := strings.Join(names, ".")
	return []syntax.Node{
		syntax.NewIdentifier(callName).SetPos(n.Position()).SetTree(tree),
		on,
		&syntax.StringNode{NodeType: syntax.NodeString, Pos: n.Position(), Quoted: fmt.Sprintf("%q", path), Text: path},
	}
}

// call looks a path of fields and methods up in a value; the last one gets the arguments.
func call(on any, path string, args ...any) (any, error) {
	names := strings.Split(path, ".")
	for i, name := range names {
		var err error
		if i+1 < len(names) {
			on, err = memberOf(on, name, nil)
		} else {
			on, err = memberOf(on, name, args)
		}
		if err != nil {
			return nil, err
		}
	}
	return on, nil
}

// memberOf is the method's result, the field or the entry of that name.
func memberOf(on any, name string, args []any) (any, error) {
	v := reflect.ValueOf(on)
	if !v.IsValid() {
		return nil, fmt.Errorf("nil data; no entry for key %q", name)
	}
	if f, ok := templateMethods[v.Type()][name]; ok {
		return invoke(reflect.ValueOf(f), name, append([]any{on}, args...))
	}
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, fmt.Errorf("nil pointer evaluating %T.%s", on, name)
		}
		v = v.Elem()
	}
	var found reflect.Value
	switch v.Kind() {
	case reflect.Struct:
		if f, ok := v.Type().FieldByName(name); ok && f.IsExported() {
			found = v.FieldByIndex(f.Index)
		}
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String {
			found = v.MapIndex(reflect.ValueOf(name).Convert(v.Type().Key()))
		}
	}
	switch {
	case !found.IsValid():
		return nil, fmt.Errorf("can't evaluate field %s in type %T", name, on)
	case len(args) > 0:
		return nil, fmt.Errorf("%s has arguments but cannot be invoked as function", name)
	}
	return found.Interface(), nil
}

// invoke calls a method's function, whose first argument is the receiver.
func invoke(f reflect.Value, name string, args []any) (any, error) {
	t := f.Type()
	if len(args) != t.NumIn() && !(t.IsVariadic() && len(args) >= t.NumIn()-1) {
		return nil, fmt.Errorf("wrong number of args for %s: want %d got %d", name, t.NumIn()-1, len(args)-1)
	}
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		want := t.In(min(i, t.NumIn()-1))
		if t.IsVariadic() && i >= t.NumIn()-1 {
			want = want.Elem()
		}
		in[i] = reflect.ValueOf(arg)
		switch {
		case !in[i].IsValid():
			return nil, fmt.Errorf("%s: an argument is nil", name)
		case in[i].Type().AssignableTo(want):
		case isNumeric(in[i].Kind()) && isNumeric(want.Kind()): // a constant of the template
			in[i] = in[i].Convert(want)
		default:
			return nil, fmt.Errorf("wrong type for value; expected %s; got %s", want, in[i].Type())
		}
	}
	out := f.Call(in)
	if len(out) == 2 && !out[1].IsNil() {
		err, _ := out[1].Interface().(error)
		return nil, errors.Join(fmt.Errorf("error calling %s", name), err)
	}
	return out[0].Interface(), nil
}

func isNumeric(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Float64 }
