package configgen
import ("testing";"fmt";"os";"encoding/json";"github.com/jobyard/jobyard/tasks")
func TestX(t *testing.T){
 only:=os.Getenv("ONLY")
 j,err:=New(); if err!=nil{t.Fatal(err)}
 for _,i:=range Templates(){ if only!=""&&i.Name!=only{continue}
  r,err:=j.Handle(t.Context(),tasks.ConfigGenPayload{Template:i.Name,Parameters:json.RawMessage(i.Example)})
  fmt.Println("=====",i.Name,err,r.Valid,r.Resolved)
  for _,f:=range r.Files{fmt.Println("---",f.Path,f.Format);fmt.Println(f.Content)}
  for _,f:=range r.Diagnostics{fmt.Println(f)}
 }
}
